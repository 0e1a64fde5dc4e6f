//! What the servers of ours share: listening as the runtime contract says, connections that end gracefully, and the
//! specialize request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Where version 1 of the protocol keeps its code.
pub(crate) const V1_CODE_PATH: &str = "/userfunc/user";

/// What a container that has a function says to another one.
pub(crate) const TWICE: &str = "Not a generic container";

/// Bytes of a specialize request; it holds the metadata of one object and at most 1 MiB of variables.
const MAX_SPECIALIZE_BYTES: usize = 4 << 20;

/// Bytes of request headers and their number. The router refuses far fewer, so these never decide.
pub(crate) const MAX_HEADER_BYTES: usize = 1 << 20;
pub(crate) const MAX_HEADERS: usize = 512;

/// A response's body, from whatever source.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Where to listen, as the runtime contract says it: `FISSION_SOCKET`, else TCP on `RUNTIME_PORT`.
#[derive(Debug)]
pub(crate) struct Settings {
    socket: Option<PathBuf>,
    port: u16,
}

impl Settings {
    /// These two belong to the contract between a platform and an instance, not to the settings of the platform.
    pub(crate) fn of_instance() -> Self {
        let port = std::env::var_os("RUNTIME_PORT").and_then(|text| text.to_str()?.parse().ok());
        Self { socket: std::env::var_os("FISSION_SOCKET").map(PathBuf::from), port: port.unwrap_or(8888) }
    }

    /// Listens there.
    pub(crate) async fn listen(&self) -> io::Result<Listener> {
        match &self.socket {
            Some(path) => listen_unix(path).map(Listener::Unix),
            None => TcpListener::bind(("0.0.0.0", self.port)).await.map(Listener::Tcp),
        }
    }
}

/// Binds the socket. Its folder decides who may connect: the one who does may be another user than this one.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}

/// Where connections come from.
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// What both kinds of connection can do.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The signals that ask a server to end.
pub(crate) struct ToldToEnd([Signal; 2]);

impl ToldToEnd {
    /// Listens to them from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }

    /// Waits for one.
    pub(crate) async fn wait(&mut self) {
        let [terminated, interrupted] = &mut self.0;
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    }
}

/// The connections of a server.
pub(crate) struct Connections {
    ending: watch::Sender<bool>,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { ending: watch::channel(false).0 }
    }

    /// Serves a connection beside the others until its client closes it or the server ends.
    pub(crate) fn serve<S, F>(&self, stream: Box<dyn Stream>, answer: S)
    where
        S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        // Held until the connection is done.
        let mut end = self.ending.subscribe();
        tokio::spawn(async move {
            let used = AtomicBool::new(false);
            let service = service_fn(|request| {
                used.store(true, Ordering::Relaxed);
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut http = http1::Builder::new();
            http.max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
            let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
            // How a connection ends is known to its client; there is nobody else to tell.
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = end.wait_for(|ending| *ending) => {}
            }
            // One that never sent a request would be waited for until it does.
            if used.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        });
    }

    /// Waits until what is being served is done.
    pub(crate) async fn finish(&self) {
        self.ending.send_replace(true);
        self.ending.closed().await;
    }
}

/// The fields of a version 2 specialize request that matter here; others are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct Load {
    pub(crate) filepath: PathBuf,
    #[serde(rename = "functionName", default)]
    function_name: Option<String>,
    /// The function's own environment variables.
    #[serde(default)]
    env: Option<BTreeMap<String, String>>,
}

impl Load {
    /// That of version 1.
    fn version_1() -> Self {
        Self { filepath: V1_CODE_PATH.into(), function_name: None, env: None }
    }

    /// Reads that of version 2; the error is its answer.
    async fn read(body: Incoming) -> Result<Self, Response<Body>> {
        let refused = |why: &dyn std::fmt::Display| {
            text(StatusCode::BAD_REQUEST, &format!("the specialize request cannot be read: {why}"))
        };
        let read = Limited::new(body, MAX_SPECIALIZE_BYTES).collect().await;
        let bytes = read.map_err(|error| refused(&error))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| refused(&error))
    }

    /// The entry point, empty where none is named.
    pub(crate) fn entry(&self) -> &str {
        self.function_name.as_deref().unwrap_or_default()
    }

    /// The function's own environment variables.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        self.env.clone().unwrap_or_default()
    }
}

/// What a request asks a container for.
pub(crate) enum Asked {
    /// To load a function.
    Load(Load),
    /// What the function is to answer.
    Function(Request<Incoming>),
}

impl Asked {
    /// Tells by the request; the error is the answer of one that asks for neither.
    pub(crate) async fn of(request: Request<Incoming>) -> Result<Self, Response<Body>> {
        match (request.method(), request.uri().path()) {
            (_, "/healthz") => Err(text(StatusCode::OK, "")),
            (&Method::POST, "/specialize") => Ok(Self::Load(Load::version_1())),
            (&Method::POST, "/v2/specialize") => Load::read(request.into_body()).await.map(Self::Load),
            _ => Ok(Self::Function(request)),
        }
    }
}

/// A response of one text.
pub(crate) fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A body that is there already.
pub(crate) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Writes one line to standard error, marked with what belongs before it.
pub(crate) fn write_line(prefix: &[u8], line: &[u8]) {
    // One write, so that lines of several requests do not mix. With nobody listening there is nobody to tell.
    let _ = io::stderr().lock().write_all(&[prefix, line, b"\n"].concat());
}

/// Writes one line to standard error.
pub(crate) fn log_line(line: &str) {
    write_line(&[], line.as_bytes());
}
