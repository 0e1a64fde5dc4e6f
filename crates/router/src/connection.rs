//! One client's connection: its limits in time, how it is told to end, and how it closes without cutting off an answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Go on.
const RUN: u8 = 0;
/// Finish what is in flight, then close.
const DRAIN: u8 = 1;
/// Close now.
const ABORT: u8 = 2;

/// How long a refused client's further bytes are read and thrown away, so that it gets to read the refusal.
const LINGER: Duration = Duration::from_secs(2);
/// How many of them, in bytes.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// What the parts of one connection tell each other.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    opened: Instant,
    in_flight: AtomicU32,
    /// Requests that ever began.
    begun: AtomicU64,
    /// Bytes came although no request is in flight: a head is on its way.
    head_begun: AtomicBool,
    /// More than one request at once; bytes between requests are not heads.
    multiplexed: AtomicBool,
    /// Milliseconds after `opened` at which the request in flight must be over even if its client reads nothing; 0 none.
    cut_at: AtomicU64,
    command: AtomicU8,
    waker: AtomicWaker,
}

impl ConnectionState {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            in_flight: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            head_begun: AtomicBool::new(true),
            multiplexed: AtomicBool::new(false),
            cut_at: AtomicU64::new(0),
            command: AtomicU8::new(RUN),
            waker: AtomicWaker::new(),
        })
    }

    /// Notes that a request began.
    pub(crate) fn begin(self: &Arc<Self>, version: http::Version) -> InFlight {
        if version == http::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        self.cut_at.store(0, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Lets requests in flight finish, then closes.
    pub(crate) fn drain(&self) {
        let _ = self.command.compare_exchange(RUN, DRAIN, Ordering::SeqCst, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Closes at once.
    pub(crate) fn abort(&self) {
        self.command.store(ABORT, Ordering::SeqCst);
        self.waker.wake();
    }
}

/// One request in flight on a connection.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<ConnectionState>);

impl InFlight {
    /// The request must be over by then, even if its client reads nothing. Not for streams that share a connection.
    pub(crate) fn cut_at(&self, when: Instant) {
        let millis = when.saturating_duration_since(self.0.opened).as_millis();
        self.0.cut_at.store(u64::try_from(millis).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.head_begun.store(false, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What to do with a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing to do.
    Continue,
    /// Begin a graceful shutdown.
    Drain,
    /// Drop it.
    Close,
}

/// Watches over one connection's time limits and orders.
pub(crate) struct Warden {
    state: Arc<ConnectionState>,
    timer: Pin<Box<Sleep>>,
    header_timeout: Duration,
    keep_alive: Duration,
    head_since: Option<Instant>,
    idle_since: Instant,
    seen_begun: u64,
    draining: bool,
}

impl Warden {
    pub(crate) fn new(state: Arc<ConnectionState>, header_timeout: Duration, keep_alive: Duration) -> Self {
        let now = Instant::now();
        Self {
            state,
            timer: Box::pin(tokio::time::sleep(header_timeout)),
            header_timeout,
            keep_alive,
            head_since: Some(now),
            idle_since: now,
            seen_begun: 0,
            draining: false,
        }
    }

    /// Looks at the connection after it has worked. Reads no clock unless a head came in parts or a timer fired.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Order {
        self.state.waker.register(cx.waker());
        match self.state.command.load(Ordering::SeqCst) {
            ABORT => return Order::Close,
            DRAIN if !self.draining => {
                self.draining = true;
                return Order::Drain;
            }
            _ => {}
        }
        let in_flight = self.state.in_flight.load(Ordering::Relaxed);
        let head_begun = in_flight == 0
            && self.state.head_begun.load(Ordering::Relaxed)
            && !self.state.multiplexed.load(Ordering::Relaxed);
        if !head_begun {
            self.head_since = None;
        } else if self.head_since.is_none() {
            let now = Instant::now();
            self.head_since = Some(now);
            self.timer.as_mut().reset((now + self.header_timeout).into());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.is_over(now, in_flight) {
                return Order::Close;
            }
            self.timer.as_mut().reset((now + self.header_timeout).into());
        }
        Order::Continue
    }

    fn is_over(&mut self, now: Instant, in_flight: u32) -> bool {
        if self.head_since.is_some_and(|since| now.duration_since(since) >= self.header_timeout) {
            return true;
        }
        let begun = self.state.begun.load(Ordering::Relaxed);
        if in_flight > 0 || begun != self.seen_begun {
            self.seen_begun = begun;
            self.idle_since = now;
        }
        if in_flight == 0 {
            return now.duration_since(self.idle_since) >= self.keep_alive;
        }
        let cut_at = self.state.cut_at.load(Ordering::Relaxed);
        let shared = self.state.multiplexed.load(Ordering::Relaxed);
        cut_at > 0 && !shared && now.duration_since(self.state.opened).as_millis() >= u128::from(cut_at)
    }
}

/// A client's socket that notes when bytes come, and that closes with care.
pub(crate) struct ClientSocket {
    socket: TcpStream,
    state: Arc<ConnectionState>,
    closing: Option<Closing>,
}

struct Closing {
    timer: Pin<Box<Sleep>>,
    discarded: usize,
    must_linger: bool,
}

impl ClientSocket {
    pub(crate) fn new(socket: TcpStream, state: Arc<ConnectionState>) -> Self {
        Self { socket, state, closing: None }
    }

    /// Reads and forgets what the client still sends. Closing with unread bytes would reset the connection and could
    /// destroy an answer that is on its way, such as a 431.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(closing) = &mut self.closing else { return Poll::Ready(Ok(())) };
        let mut space = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    closing.must_linger = true;
                    closing.discarded += buffer.filled().len();
                    if closing.discarded >= LINGER_BYTES {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if closing.must_linger => return closing.timer.as_mut().poll(cx).map(Ok),
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before && this.state.in_flight.load(Ordering::Relaxed) == 0 {
            this.state.head_begun.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            std::task::ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            let must_linger = this.state.head_begun.load(Ordering::Relaxed);
            let timer = Box::pin(tokio::time::sleep(LINGER));
            this.closing = Some(Closing { timer, discarded: 0, must_linger });
        }
        this.poll_linger(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
