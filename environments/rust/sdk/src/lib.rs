//! A function of Fission's rust environment.
//!
//! ```no_run
//! fn main() {
//!     fission_function::serve(|_request| "Hello, world!\n")
//! }
//! ```
//!
//! The handler takes a [`Request`] and gives anything that [`IntoResponse`] knows, or a future of it. One that gives a
//! future runs on tokio's runtime; any other runs on a thread where it may wait:
//!
//! ```no_run
//! use fission_function::{Json, Request, http::StatusCode};
//!
//! async fn order(request: Request) -> Result<(StatusCode, Json<serde_json::Value>), fission_function::Error> {
//!     let wanted: serde_json::Value = serde_json::from_slice(&request.into_body().collect().await?)?;
//!     Ok((StatusCode::CREATED, Json(wanted)))
//! }
//!
//! fn main() {
//!     fission_function::serve(order)
//! }
//! ```
//!
//! The program is an HTTP server. The environment's container hands it the socket that requests come to; started by hand it
//! listens on the unix socket `FISSION_SOCKET`, else on the TCP port `FISSION_RUNTIME_PORT`, `PORT` or 8888 of 127.0.0.1.
//! On SIGTERM it finishes what it serves and exits with 0.
//!
//! Start reading in `serve` (a request's way), then `container` (how it takes over from the container) and `output` (how
//! printed lines are marked with their request).

mod body;
mod container;
mod output;
mod response;
mod serve;

pub use body::{Body, Sender};
pub use bytes::Bytes;
pub use http;
pub use response::{IntoResponse, Json};
pub use serve::{Outcome, serve};

/// A request; its body is read where it is wanted.
pub type Request = http::Request<Body>;

/// A response.
pub type Response = http::Response<Body>;

/// A connection whose protocol was changed.
pub type Connection = hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>;

/// Any error. A handler's is answered 500, with the reason in the log only.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The connection of a request once its protocol was changed, which an answer of 101 does: for WebSockets. It can be read
/// and written with tokio.
pub fn upgraded(request: &mut Request) -> impl Future<Output = Result<Connection, Error>> + Send + 'static + use<> {
    let connection = hyper::upgrade::on(request);
    async move { Ok(hyper_util::rt::TokioIo::new(connection.await?)) }
}

/// The id of the request that is being served, if it has one.
pub fn request_id() -> Option<String> {
    output::current()
}

/// Writes one line to the log, marked with the request that is being served. Lines of `println!` are marked while exactly
/// one request is served; these always.
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => { $crate::write_line(&::std::format!($($text)*)) };
}

#[doc(hidden)]
pub fn write_line(text: &str) {
    output::write_line(text);
}
