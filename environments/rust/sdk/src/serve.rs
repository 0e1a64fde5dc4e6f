//! A request's way: accepted, given to the handler, answered.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::container::{self, Listener};
use crate::output::{self, CURRENT, Serving};
use crate::{Body, Error, IntoResponse, Request, Response, response};

/// Bytes of request headers and their number. The router refuses far fewer, so these never decide.
const MAX_HEADER_BYTES: usize = 1 << 20;
const MAX_HEADERS: usize = 512;

/// Header whose value marks the lines a request prints.
const REQUEST_ID: &str = "x-fission-request-id";

/// Serves requests with a handler until SIGTERM; the program ends with it.
///
/// What may be done once, such as connecting to a database, is done before: the container waits up to 30 s.
pub fn serve<H, R, K>(handler: H) -> !
where
    H: Fn(Request) -> R + Send + Sync + 'static,
    R: Outcome<K>,
{
    let handler = Arc::new(handler);
    serve_any(Arc::new(move |request, id| R::of(handler.clone(), request, id)))
}

/// A handler of whatever type. All that follows is compiled with this crate, not once more with every function.
type Handler = Arc<dyn Fn(Request, Option<Arc<str>>) -> Answering + Send + Sync>;

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

fn serve_any(handler: Handler) -> ! {
    let code = match run(&handler) {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("the function cannot serve: {why}");
            1
        }
    };
    output::finish();
    std::process::exit(code)
}

fn run(handler: &Handler) -> Result<(), Error> {
    let (listener, container) = container::listen()?;
    let started = start(listener);
    let (runtime, listener, signals) = match (started, &container) {
        (Ok(started), _) => started,
        (Err(why), Some(container)) => {
            container.refuse(&why.to_string());
            return Err(why);
        }
        (Err(why), None) => return Err(why),
    };
    if let Some(container) = container {
        container.ready(&output::take_over()?)?;
        std::thread::spawn(move || {
            container.until_it_ends();
            std::process::exit(1);
        });
    }
    runtime.block_on(accept(listener, signals, handler));
    // What the function left running must not hold up the end.
    runtime.shutdown_background();
    Ok(())
}

enum Listening {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Everything that can fail before the function serves.
fn start(listener: Listener) -> Result<(tokio::runtime::Runtime, Listening, [Signal; 2]), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let inside = runtime.enter();
    let listener = match listener {
        Listener::Unix(listener) => {
            listener.set_nonblocking(true)?;
            Listening::Unix(UnixListener::from_std(listener)?)
        }
        Listener::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            Listening::Tcp(TcpListener::from_std(listener)?)
        }
    };
    let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    drop(inside);
    Ok((runtime, listener, signals))
}

/// Accepts connections until told to end, then waits until the last one is done.
async fn accept(listener: Listening, [mut terminated, mut interrupted]: [Signal; 2], handler: &Handler) {
    let (ending, end) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener) => accepted,
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
        };
        // A connection that broke before it was taken is its client's affair.
        if let Ok(stream) = accepted {
            tokio::spawn(connection(handler.clone(), stream, end.clone()));
        }
    }
    drop((listener, end));
    ending.send_replace(true);
    // Every connection holds a receiver until it is done.
    ending.closed().await;
}

/// What both kinds of connection can do.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn next(listener: &Listening) -> io::Result<Box<dyn Stream>> {
    match listener {
        Listening::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        Listening::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}

/// Serves one connection until its client closes it or the program ends.
async fn connection(handler: Handler, stream: Box<dyn Stream>, mut end: watch::Receiver<bool>) {
    let used = AtomicBool::new(false);
    let service = service_fn(|request| {
        used.store(true, Ordering::Relaxed);
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(answer(handler, request).await) }
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
}

/// Answers what every container answers, and leaves the rest to the handler.
async fn answer(handler: Handler, request: http::Request<Incoming>) -> http::Response<Served> {
    let own = match (request.method(), request.uri().path()) {
        (_, "/healthz") => Some(().into_response()),
        (&Method::POST, "/specialize" | "/v2/specialize") => {
            Some((StatusCode::BAD_REQUEST, "Not a generic container").into_response())
        }
        _ => None,
    };
    if let Some(response) = own {
        return response.map(|body| Served { body, serving: None });
    }
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(Arc::from);
    let serving = Serving::begin(id.as_ref());
    let response = handler(request.map(Body::new), id).await;
    response.map(|body| Served { body, serving: Some(serving) })
}

/// A response's body. The request is being served until it is sent.
struct Served {
    body: Body,
    serving: Option<Serving>,
}

impl HttpBody for Served {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(None) = polled {
            self.serving = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a handler gives: a response now, or a future of one. Which it is follows from its type.
pub trait Outcome<Kind>: Sized + 'static {
    /// Calls the handler and waits for its response.
    #[doc(hidden)]
    fn of<H>(handler: Arc<H>, request: Request, id: Option<Arc<str>>) -> Answering
    where
        H: Fn(Request) -> Self + Send + Sync + 'static;
}

/// The kind of handlers that give a response.
#[derive(Debug)]
pub struct Now;

/// The kind of handlers that give a future.
#[derive(Debug)]
pub struct Later;

impl<T: IntoResponse + 'static> Outcome<Now> for T {
    fn of<H>(handler: Arc<H>, request: Request, id: Option<Arc<str>>) -> Answering
    where
        H: Fn(Request) -> Self + Send + Sync + 'static,
    {
        let call = move || CURRENT.sync_scope(id, || handler(request).into_response());
        // A panic has told its reason itself.
        Box::pin(async { tokio::task::spawn_blocking(call).await.unwrap_or_else(|_| response::internal_error()) })
    }
}

impl<F> Outcome<Later> for F
where
    F: Future + Send + 'static,
    F::Output: IntoResponse,
{
    fn of<H>(handler: Arc<H>, request: Request, id: Option<Arc<str>>) -> Answering
    where
        H: Fn(Request) -> Self + Send + Sync + 'static,
    {
        let mut call: Answering = Box::pin(CURRENT.scope(id, async move { handler(request).await.into_response() }));
        Box::pin(std::future::poll_fn(move |context| {
            catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)))
                .unwrap_or_else(|_| Poll::Ready(response::internal_error()))
        }))
    }
}
