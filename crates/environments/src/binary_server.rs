//! The server of the `binary` environment: runs the function as a program, once per request.
//!
//! The request comes in CGI-like variables and on standard input; standard output is the response body, sent as it
//! comes; standard error goes to the log. See `environments/binary/README.md` for what a program can rely on.

mod program;
mod run;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use program::Program;

/// The hidden subcommand of `fission` that runs this server.
pub const SUBCOMMAND: &str = "__binary-env";

/// Where version 1 of the protocol keeps its code.
const V1_CODE_PATH: &str = "/userfunc/user";

/// Bytes of a specialize request; it holds the metadata of one object and at most 1 MiB of variables.
const MAX_SPECIALIZE_BYTES: usize = 4 << 20;

/// Bytes of request headers and their number. The router refuses far fewer, so these never decide.
const MAX_HEADER_BYTES: usize = 1 << 20;
const MAX_HEADERS: usize = 512;

/// What a container without a function says.
const UNSPECIALIZED: &str = "not specialized";

type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, io::Error>>>>;

/// Where to listen, as the runtime contract says it: `FISSION_SOCKET`, else TCP on `RUNTIME_PORT`.
#[derive(Debug)]
struct Settings {
    socket: Option<PathBuf>,
    port: u16,
}

impl Settings {
    /// These two belong to the contract between a platform and an instance, not to the settings of the platform.
    fn of_instance() -> Self {
        let port = std::env::var_os("RUNTIME_PORT").and_then(|text| text.to_str()?.parse().ok());
        Self { socket: std::env::var_os("FISSION_SOCKET").map(PathBuf::from), port: port.unwrap_or(8888) }
    }
}

/// Runs the server until SIGTERM or SIGINT, then finishes what is in flight.
pub fn main() -> ExitCode {
    let settings = Settings::of_instance();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(&settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::log_line(&format!("binary environment: cannot serve with {settings:?}: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: &Settings) -> io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let told_to_end = async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    match &settings.socket {
        Some(path) => {
            let listener = listen_unix(path)?;
            accept(|| async { listener.accept().await.map(|(stream, _)| stream) }, told_to_end).await
        }
        None => {
            let listener = TcpListener::bind(("0.0.0.0", settings.port)).await?;
            let next = || async {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            accept(next, told_to_end).await
        }
    }
}

/// Binds the socket. Its folder decides who may connect: the one who does may be another user than this one.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}

/// Serves connections until told to end, then until the last one is done.
async fn accept<S, F>(mut next: impl FnMut() -> F, told_to_end: impl Future<Output = ()>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>>,
{
    let container = Arc::new(Container::default());
    let (ending, end) = watch::channel(false);
    let mut told_to_end = std::pin::pin!(told_to_end);
    loop {
        tokio::select! {
            // A connection that broke before it was taken is its client's affair.
            stream = next() => if let Ok(stream) = stream {
                tokio::spawn(connection(container.clone(), stream, end.clone()));
            },
            () = &mut told_to_end => break,
        }
    }
    drop(end);
    ending.send_replace(true);
    // Every connection holds a receiver until it is done.
    ending.closed().await;
    Ok(())
}

/// Serves one connection until its client closes it or the server ends.
async fn connection<S>(container: Arc<Container>, stream: S, mut end: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let used = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        used.store(true, Ordering::Relaxed);
        let container = container.clone();
        async move { Ok::<_, Infallible>(container.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
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
}

/// One container: generic, then with its program.
#[derive(Default)]
struct Container {
    program: Mutex<Option<Arc<Program>>>,
}

/// The fields of a version 2 specialize request that matter here; others are ignored.
#[derive(Deserialize)]
struct Load {
    filepath: PathBuf,
    #[serde(rename = "functionName", default)]
    function_name: Option<String>,
    /// The function's own environment variables.
    #[serde(default)]
    env: Option<BTreeMap<String, String>>,
}

impl Container {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (_, "/healthz") => text(StatusCode::OK, ""),
            (&Method::POST, "/specialize") => {
                self.specialize(Load { filepath: V1_CODE_PATH.into(), function_name: None, env: None }).await
            }
            (&Method::POST, "/v2/specialize") => match read_load(request.into_body()).await {
                Ok(load) => self.specialize(load).await,
                Err(why) => text(StatusCode::BAD_REQUEST, &why),
            },
            _ => match self.program() {
                Some(program) => run::run(&program, request).await,
                None => text(StatusCode::BAD_REQUEST, UNSPECIALIZED),
            },
        }
    }

    fn program(&self) -> Option<Arc<Program>> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn specialize(&self, load: Load) -> Response<Body> {
        const TWICE: &str = "Not a generic container";
        if self.program().is_some() {
            return text(StatusCode::BAD_REQUEST, TWICE);
        }
        match Program::load(&load.filepath, load.function_name.as_deref().unwrap_or_default()).await {
            Ok(program) => {
                let program = program.with_variables(load.env.unwrap_or_default());
                let mut slot = self.program.lock().unwrap_or_else(PoisonError::into_inner);
                if slot.is_some() {
                    return text(StatusCode::BAD_REQUEST, TWICE);
                }
                *slot = Some(Arc::new(program));
                text(StatusCode::OK, "")
            }
            Err(why) => {
                run::log_line(&why);
                text(StatusCode::INTERNAL_SERVER_ERROR, &why)
            }
        }
    }
}

async fn read_load(body: Incoming) -> Result<Load, String> {
    let read = Limited::new(body, MAX_SPECIALIZE_BYTES).collect().await;
    let bytes = read.map_err(|error| format!("the specialize request cannot be read: {error}"))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| format!("the specialize request cannot be read: {error}"))
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::copy_from_slice(body.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
