//! What a handler may give.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Body as HttpBody;
use serde::Serialize;

use crate::{Body, Error, Response, output};

/// What the client of a function that failed is told; the reason is in the log.
const FAILED: &str = "Internal server error";

/// Anything that can be a response: text, bytes, nothing, a status, a status with any of them, [`Json`], an
/// `http::Response` with any body, or a `Result` of any of them.
pub trait IntoResponse {
    /// The response.
    fn into_response(self) -> Response;
}

impl<B> IntoResponse for http::Response<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    fn into_response(self) -> Response {
        self.map(Body::new)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::default()
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self;
        response
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        *response.status_mut() = self.0;
        response
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        with_type("text/plain; charset=utf-8", self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        with_type("text/plain; charset=utf-8", self)
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        with_type("application/octet-stream", self)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        with_type("application/octet-stream", self)
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        self.map_or_else(|error| failed(&*error.into()), IntoResponse::into_response)
    }
}

/// A value as JSON.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => with_type("application/json", text),
            Err(error) => failed(&error),
        }
    }
}

fn with_type(kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Tells the log why, and the client that.
fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        reason = format!("{reason}: {deeper}");
        cause = deeper.source();
    }
    output::write_line(&reason);
    internal_error()
}

/// The answer of a function that failed.
pub(crate) fn internal_error() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, FAILED).into_response()
}
