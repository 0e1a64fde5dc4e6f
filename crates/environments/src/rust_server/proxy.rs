//! Passing requests on: of connections that were open before the program took the socket over, and of all connections to a
//! program that listens on a port of its own.

use std::io;
use std::path::PathBuf;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;

use crate::serving::{Body, Listener, MAX_HEADER_BYTES, MAX_HEADERS, Stream, log_line, text};

/// Where requests are passed on to.
#[derive(Clone, Debug)]
pub(super) enum Upstream {
    Socket(PathBuf),
    Port(u16),
}

impl Upstream {
    /// This process's own socket, whoever accepts from it.
    pub(super) fn of(listener: &Listener) -> io::Result<Self> {
        match listener {
            Listener::Unix(listener) => {
                let path = listener.local_addr()?.as_pathname().map(PathBuf::from);
                path.map(Self::Socket).ok_or_else(|| io::Error::other("the socket has no path"))
            }
            Listener::Tcp(listener) => Ok(Self::Port(listener.local_addr()?.port())),
        }
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Port(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The connection to the program that belongs to one of a client's.
#[derive(Default)]
pub(super) struct Connection {
    /// A client sends one request after the other, so nobody waits for this.
    sender: Mutex<Option<SendRequest<Incoming>>>,
}

impl Connection {
    /// Passes a request on.
    pub(super) async fn send(&self, upstream: &Upstream, mut request: Request<Incoming>) -> Response<Body> {
        let of_client = request.extensions_mut().remove::<OnUpgrade>();
        let mut kept = self.sender.lock().await;
        let sent = async {
            let mut sender = match still_open(kept.take()).await {
                Some(sender) => sender,
                None => connect(upstream).await?,
            };
            let response = sender.send_request(request).await?;
            *kept = Some(sender);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(response)
        };
        let mut response = match sent.await {
            Ok(response) => response,
            Err(error) => {
                log_line(&format!("the program did not answer: {error}"));
                return text(StatusCode::BAD_GATEWAY, "the function's program did not answer");
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(of_client) = of_client
        {
            tokio::spawn(join(of_client, hyper::upgrade::on(&mut response)));
        }
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }
}

async fn still_open(sender: Option<SendRequest<Incoming>>) -> Option<SendRequest<Incoming>> {
    let mut sender = sender?;
    sender.ready().await.ok().map(|()| sender)
}

async fn connect(upstream: &Upstream) -> Result<SendRequest<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TokioIo::new(upstream.connect().await?);
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
    let (sender, connection) = http.handshake(stream).await?;
    // How it ends is known to who sends on it.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// Two connections that changed their protocol become one.
async fn join(client: OnUpgrade, program: OnUpgrade) {
    if let (Ok(client), Ok(program)) = tokio::join!(client, program) {
        // Either side may close it as it likes.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(program)).await;
    }
}
