//! Connections to instances. Each endpoint keeps its own idle ones, so that nothing is looked up for a request.
//!
//! A connection has no task of its own: whoever uses it drives it, first the request that waits for the head, then the
//! body that is read from it. That saves two wake-ups and a task switch per request. An idle connection is driven by no
//! one; that its instance closed it is seen when it is next used, before anything is sent.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fission_rpc::endpoint::{Address, Endpoint};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::body::RequestBody;
use crate::options::Options;
use crate::workers;

/// Pause between tries while an instance's queue of connections is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// A byte stream to an instance.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection to an instance, and the two ends hyper gives us of it.
pub(crate) struct Link {
    /// The thread that notices its bytes.
    worker: usize,
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<Stream>, RequestBody>,
    ended: bool,
    idle_since: Instant,
}

impl Link {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// Lets the connection work; called by the body that is read from it.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) {
        self.drive(cx);
    }

    /// Whether request and response are both complete, so that it can carry the next request.
    fn is_reusable(&mut self) -> bool {
        if !self.ended && !self.sender.is_ready() {
            // Nothing is waited for; whoever uses the connection next registers its own waker.
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        !self.ended && self.sender.is_ready()
    }
}

/// Why no response head came.
pub(crate) enum SendError {
    /// Nothing of the request was sent; it can be sent elsewhere.
    NotSent(Box<Request<RequestBody>>),
    /// The instance may have seen it.
    Broken(hyper::Error),
    /// The connection ended without saying why.
    Closed,
    /// The deadline passed.
    TimedOut,
}

/// Idle connections. Boxed, because one moves in and out for every request and is large.
#[allow(clippy::vec_box)]
type Idle = Mutex<Vec<Box<Link>>>;

/// The connections to one endpoint, of each thread its own.
pub(crate) struct Transport {
    idle: Box<[Idle]>,
    max_idle: usize,
    max_idle_age: Duration,
    /// What `Host` is for it.
    pub(crate) host: HeaderValue,
}

impl Transport {
    /// The connections of an endpoint, kept inside it. `None` if something else is kept there.
    pub(crate) fn of<'a>(endpoint: &'a Endpoint, options: &Options) -> Option<&'a Arc<Self>> {
        let kept = endpoint.transport.get_or_init(|| {
            let host = match &endpoint.address {
                Address::Unix(_) | Address::Local(_) => HeaderValue::from_static("localhost"),
                Address::Tcp(address) => {
                    HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("localhost"))
                }
            };
            let (max_idle, max_idle_age) = (options.max_idle_per_endpoint, options.max_idle_age);
            let idle = (0..=options.threads).map(|_| Idle::default()).collect();
            Box::new(Arc::new(Self { idle, max_idle, max_idle_age, host }))
        });
        kept.downcast_ref()
    }

    /// The idle connection this thread used last, if it is still young enough.
    pub(crate) fn take(&self) -> Option<Box<Link>> {
        let mut idle = self.idle.get(workers::current())?.lock().unwrap_or_else(PoisonError::into_inner);
        let link = idle.pop()?;
        if link.idle_since.elapsed() < self.max_idle_age {
            return Some(link);
        }
        // It was the youngest of all.
        idle.clear();
        None
    }

    /// Keeps a connection for the next request, if it can carry one.
    pub(crate) fn put(&self, mut link: Box<Link>) {
        if !link.is_reusable() {
            return;
        }
        link.idle_since = Instant::now();
        let Some(idle) = self.idle.get(link.worker) else { return };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.max_idle {
            idle.push(link);
        }
    }
}

/// A new connection, ready for a request.
pub(crate) async fn connect(address: &Address, timeout: Duration) -> io::Result<Box<Link>> {
    let stream = dial(address, timeout).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    Ok(Box::new(Link { worker: workers::current(), sender, connection, ended: false, idle_since: Instant::now() }))
}

/// A new byte stream to an address.
pub(crate) async fn dial(address: &Address, timeout: Duration) -> io::Result<Stream> {
    let attempt = async {
        match address {
            Address::Unix(path) => loop {
                match UnixStream::connect(path).await {
                    // The listener's queue is full: the instance is there, but slow.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                    }
                    connected => return connected.map(Stream::Unix),
                }
            },
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Local(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "it is in this process")),
        }
    };
    match tokio::time::timeout(timeout, attempt).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {timeout:?}"))),
    }
}

/// Sends a request and waits for the head of its response, driving the connection.
pub(crate) async fn send(
    link: &mut Link,
    request: Request<RequestBody>,
    deadline: Instant,
) -> Result<Response<Incoming>, SendError> {
    let mut response = pin!(link.sender.try_send_request(request));
    let mut timer = pin!(tokio::time::sleep_until(deadline.into()));
    poll_fn(|cx| {
        if !link.ended {
            link.ended = Pin::new(&mut link.connection).poll(cx).is_ready();
        }
        // Only driving the connection makes the response ready, so it needs to wake no one.
        if let Poll::Ready(done) = response.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Poll::Ready(done.map_err(|mut failure| match failure.take_message() {
                Some(request) => SendError::NotSent(Box::new(request)),
                None => SendError::Broken(failure.into_error()),
            }));
        }
        if link.ended {
            return Poll::Ready(Err(SendError::Closed));
        }
        timer.as_mut().poll(cx).map(|()| Err(SendError::TimedOut))
    })
    .await
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
