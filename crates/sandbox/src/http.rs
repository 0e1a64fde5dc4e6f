//! What this backend says to the server of an environment: is it there, and load this function.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use fission_rpc::endpoint::Address;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::appear::{Appearing, short_pause};

/// Most of an answer that is read, in bytes; what an environment says about broken code is shown to people.
const MAX_ANSWER: usize = 64 * 1024;
/// First pause between two looks whether a server is there, where nothing tells. Starting one takes 10 to 400 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Looks after there is a socket, and the pause between them: a server listens a moment after it has made it. The pause is
/// shorter than the runtime's timer can make it, but not nothing: the server may be waiting for this very processor.
const EAGER: u32 = 10;
const EAGER_PAUSE: Duration = Duration::from_micros(20);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// An answer of an environment's server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Waits until a server gives any HTTP answer. Does not end before that. `appearing`: tells when its socket is made.
pub(crate) async fn until_ready(address: &Address, appearing: Option<&Appearing>) {
    let (mut pause, mut eager) = (FIRST_PAUSE, 0);
    while ask(address, Method::GET, "/healthz", "text/plain", Bytes::new()).await.is_err() {
        if eager > 0 {
            eager -= 1;
            if short_pause(EAGER_PAUSE).await.is_ok() {
                continue;
            }
        }
        let told = async {
            match appearing {
                Some(appearing) => appearing.something().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = told => (pause, eager) = (FIRST_PAUSE, EAGER),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn ask(
    address: &Address,
    method: Method,
    path: &str,
    content_type: &str,
    body: Bytes,
) -> io::Result<Answer> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "localhost")
        .header(http::header::CONTENT_TYPE, content_type)
        .header(http::header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    match address {
        Address::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
        Address::Tcp(address) => exchange(TcpStream::connect(address).await?, request).await,
        Address::Local(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        // An answer too long or cut off still has a status, which is what decides.
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok(Answer { status, body: body.map(http_body_util::Collected::to_bytes).unwrap_or_default() })
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before the answer is taken out of it.
        _ = &mut connection => exchange.await,
    }
}
