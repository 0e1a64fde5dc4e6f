//! Listeners: accepts connections, serves them, and drains them when told to stop.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::body::ResponseBody;
use crate::call::Caller;
use crate::connection::{ClientSocket, ConnectionState, Order, Warden};
use crate::headers::{self, Peer};
use crate::options::Options;
use crate::router::Router;
use crate::timing::Timing;
use crate::{internal, public};

/// Pause after a failed accept: usually the process is out of file descriptors, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Smallest buffer hyper takes.
const MIN_HEADER_BYTES: usize = 8 * 1024;

/// Which of the two listeners a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Public,
    Internal,
}

/// Connections that switched protocols: they outlive their requests and end when everything else has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnels {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Tunnels {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The open connections of one listener.
#[derive(Debug, Default)]
struct Open {
    next: AtomicU64,
    states: Mutex<HashMap<u64, Arc<ConnectionState>>>,
}

impl Open {
    fn each(&self, act: impl Fn(&ConnectionState)) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|state| act(state));
    }

    fn add(self: &Arc<Self>, state: Arc<ConnectionState>) -> Registered {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.states.lock().unwrap_or_else(PoisonError::into_inner).insert(number, state);
        Registered { open: self.clone(), number }
    }
}

/// Takes a connection off the list when it ends, however it does.
struct Registered {
    open: Arc<Open>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.open.states.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Serves until `shutdown`, then drains: no new connections, requests in flight finish up to the limit.
pub(crate) async fn serve(router: Arc<Router>, which: Listener, listener: TcpListener, shutdown: CancellationToken) {
    let builder = Arc::new(builder(&router.options));
    let places = Arc::new(Semaphore::new(router.options.max_connections));
    let (open, tasks, tunnels) = (Arc::<Open>::default(), TaskTracker::new(), Tunnels::default());
    let mut stopping = pin!(shutdown.clone().cancelled_owned());
    while let Some((socket, peer, place)) = accept(&listener, &places, stopping.as_mut()).await {
        let state = ConnectionState::new();
        let registered = open.add(state.clone());
        let connection = Connection { router: router.clone(), which, state, tunnels: tunnels.clone() };
        let builder = builder.clone();
        let worker = router.workers().place();
        let handle = worker.handle().clone();
        let served = async move {
            let _held = (place, registered, worker);
            // What notices its bytes is the thread that serves it.
            match socket.into_std().and_then(TcpStream::from_std) {
                Ok(socket) => connection.run(&builder, socket, peer).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
        };
        tasks.spawn_on(served, &handle);
    }
    drop(listener);
    open.each(ConnectionState::drain);
    tasks.close();
    if tokio::time::timeout(router.options.drain_timeout, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "requests did not finish in time; cutting them off");
        open.each(ConnectionState::abort);
        tasks.wait().await;
    }
    tunnels.close().await;
}

/// The next connection; `None` when it is time to stop.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    mut stopping: Pin<&mut WaitForCancellationFutureOwned>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stopping.as_mut() => return None,
            accepted = accepted => accepted,
        };
        match (accepted, place) {
            (Ok((socket, peer)), Some(place)) => {
                // Without it small answers may wait for the client's acknowledgement of earlier ones.
                let _ = socket.set_nodelay(true);
                return Some((socket, peer, place));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (_, None) => return None,
        }
    }
}

fn builder(options: &Options) -> auto::Builder<TokioExecutor> {
    let max_header = options.max_header_bytes.max(MIN_HEADER_BYTES);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The warden keeps time: hyper's own timer cannot tell an idle connection from a slow head.
    builder.http1().header_read_timeout(None).max_buf_size(max_header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(options.keep_alive))
        .max_header_list_size(u32::try_from(max_header).unwrap_or(u32::MAX));
    builder
}

/// One client's connection being served.
struct Connection {
    router: Arc<Router>,
    which: Listener,
    state: Arc<ConnectionState>,
    tunnels: Tunnels,
}

impl Connection {
    async fn run(self, builder: &auto::Builder<TokioExecutor>, socket: TcpStream, peer: SocketAddr) {
        let state = self.state.clone();
        let options = &self.router.options;
        let mut warden = Warden::new(state.clone(), options.header_timeout, options.keep_alive);
        let peer = Peer::new(peer.ip());
        let this = Arc::new(self);
        let service = service_fn(move |request| this.clone().answer(peer.clone(), request));
        let io = TokioIo::new(ClientSocket::new(socket, state));
        let mut served = pin!(builder.serve_connection_with_upgrades(io, service));
        poll_fn(|cx| {
            if let Poll::Ready(ended) = served.as_mut().poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(error, "connection of a client ended");
                }
                return Poll::Ready(());
            }
            match warden.poll(cx) {
                Order::Continue => Poll::Pending,
                Order::Close => Poll::Ready(()),
                Order::Drain => {
                    served.as_mut().graceful_shutdown();
                    // It must be driven once more to notice.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
        .await;
    }

    async fn answer(
        self: Arc<Self>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let mut timing = Timing::start();
        let version = request.version();
        let in_flight = self.state.begin(version);
        let request_id = headers::request_id(request.headers());
        let caller =
            Caller { peer: &peer, request_id: request_id.clone(), tunnels: &self.tunnels, in_flight: &in_flight };
        let mut response = match self.which {
            Listener::Public => public::answer(&self.router, &caller, request, &mut timing).await,
            Listener::Internal => internal::answer(&self.router, &caller, request, &mut timing).await,
        };
        headers::finish_response(response.headers_mut(), request_id, &timing);
        let can_be_told = version < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS;
        if self.router.is_leaving() && can_be_told {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| body.with_in_flight(in_flight)))
    }
}
