//! Bodies on their way through: what is sent to functions, and what comes back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fission_rpc::endpoint::Lease;
use fission_rpc::local::{LocalBody, LocalBodyError};
use fission_rpc::refusal::Component;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::connection::InFlight;
use crate::functions::TimeLimit;
use crate::metrics::Metrics;
use crate::transport::{Link, Transport};

/// The body of a request to a function.
pub(crate) enum RequestBody {
    /// As the client sends it.
    Streamed(Incoming),
    /// Read whole before, to check its signature.
    Whole(Option<Bytes>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            RequestBody::Streamed(body) => Pin::new(body).poll_frame(cx),
            RequestBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Streamed(body) => body.is_end_stream(),
            RequestBody::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Streamed(body) => body.size_hint(),
            RequestBody::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// Why a response body ended early. The client sees its connection cut, so that it cannot take a part for the whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the function's response broke off")]
    Broken(#[source] hyper::Error),
    #[error("the function's response broke off")]
    Ended(#[source] LocalBodyError),
    #[error("the function did not finish its response in time")]
    TimedOut,
}

/// The body of a response to a client.
pub(crate) struct ResponseBody {
    content: Content,
    /// Tells the client's connection that the request is over.
    _in_flight: Option<InFlight>,
}

// The large variant is the usual one; boxing it would cost an allocation per request.
#[allow(clippy::large_enum_variant)]
enum Content {
    Own(Option<Bytes>),
    Function(FunctionBody),
}

impl ResponseBody {
    /// The router's own words.
    pub(crate) fn own(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { content: Content::Own(Some(bytes).filter(|bytes| !bytes.is_empty())), _in_flight: None }
    }

    pub(crate) fn function(body: FunctionBody) -> Self {
        Self { content: Content::Function(body), _in_flight: None }
    }

    pub(crate) fn with_in_flight(mut self, in_flight: InFlight) -> Self {
        self._in_flight = Some(in_flight);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().content {
            Content::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Function(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(bytes) => bytes.is_none(),
            Content::Function(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Function(body) => body.source.size_hint(),
        }
    }
}

/// When a call has taken too long. The timer is made only when there is something to wait for, and moved only when it
/// fires.
pub(crate) struct Watchdog {
    whole: Option<Instant>,
    idle: Option<Duration>,
    last_heard: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watchdog {
    pub(crate) fn start(limit: TimeLimit, now: Instant) -> Self {
        let (whole, idle) = match limit {
            TimeLimit::Whole(whole) => (Some(now + whole), None),
            TimeLimit::Stream { idle, whole } => (whole.map(|whole| now + whole), Some(idle)),
        };
        Self { whole, idle, last_heard: now, timer: None }
    }

    /// The next point in time at which something may be too late.
    pub(crate) fn next(&self) -> Instant {
        let silent = self.idle.map(|idle| self.last_heard + idle);
        match (self.whole, silent) {
            (Some(whole), Some(silent)) => whole.min(silent),
            (Some(only), None) | (None, Some(only)) => only,
            // Every limit has at least one of the two.
            (None, None) => self.last_heard + Duration::from_secs(3600),
        }
    }

    /// The reason to give when it fires.
    pub(crate) fn reason(&self) -> &'static str {
        match (self.idle, self.whole) {
            (None, _) => "function_timeout",
            (Some(idle), Some(whole)) if whole <= self.last_heard + idle => "stream_max_duration",
            (Some(_), _) => "stream_idle",
        }
    }

    /// Notes that the function said something. Returns whether the whole has taken too long all the same: a function
    /// that never pauses would not be noticed otherwise.
    fn heard(&mut self) -> bool {
        let now = Instant::now();
        self.last_heard = now;
        self.whole.is_some_and(|whole| now >= whole)
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let next = self.next();
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next.into())));
            std::task::ready!(timer.as_mut().poll(cx));
            if Instant::now() >= next {
                return Poll::Ready(());
            }
            timer.as_mut().reset(next.into());
        }
    }
}

/// What a call holds until its response body has ended.
pub(crate) struct Held {
    pub(crate) lease: Lease,
    /// Absent when a task drives the connection, and where there is none.
    pub(crate) link: Option<(Box<Link>, Arc<Transport>)>,
}

/// Where a function's response comes from.
pub(crate) enum Source {
    /// A connection.
    Remote(Incoming),
    /// An instance in this process.
    Local(LocalBody),
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Source::Remote(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Broken),
            Source::Local(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Ended),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Source::Remote(body) => body.is_end_stream(),
            Source::Local(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Source::Remote(body) => body.size_hint(),
            Source::Local(body) => body.size_hint(),
        }
    }
}

/// The body a function sends. Drives the connection it comes from, and gives everything back when it ends.
pub(crate) struct FunctionBody {
    source: Source,
    held: Option<Held>,
    watchdog: Watchdog,
    metrics: Arc<Metrics>,
}

impl FunctionBody {
    pub(crate) fn new(source: Source, held: Held, watchdog: Watchdog, metrics: Arc<Metrics>) -> Self {
        let mut body = Self { source, held: Some(held), watchdog, metrics };
        if body.source.is_end_stream() {
            body.release();
        }
        body
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        let polled = match &mut held.link {
            Some((link, _)) => {
                link.poll_drive(cx);
                // Frames only appear while the connection is driven, so they need to wake no one.
                self.source.poll_frame(&mut Context::from_waker(Waker::noop()))
            }
            None => self.source.poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if self.source.is_end_stream() {
                    self.release();
                } else if self.watchdog.heard() {
                    return self.expire();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.held = None;
                self.metrics.failure(Component::Function, "function_error");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => {
                std::task::ready!(self.watchdog.poll_expired(cx));
                self.expire()
            }
        }
    }

    fn expire(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.held = None;
        self.metrics.failure(Component::Timeout, self.watchdog.reason());
        Poll::Ready(Some(Err(BodyError::TimedOut)))
    }

    /// The connection first, so that the request that gets the slot finds it.
    fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        if let Some((link, transport)) = held.link {
            transport.put(link);
        }
        drop(held.lease);
    }
}
