//! Bodies of requests and responses: as they come, or at once.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;

use crate::Error;

/// Chunks that wait for the client before their sender does.
const WAITING_CHUNKS: usize = 16;

/// A body. It is an `http_body::Body`, so what works with those works with it.
pub struct Body(UnsyncBoxBody<Bytes, Error>);

impl Body {
    /// One of anything that is a body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }

    /// A body that is sent as it is made. It ends when the sender is dropped.
    ///
    /// ```no_run
    /// fission_function::serve(|_request| {
    ///     let (sender, body) = fission_function::Body::channel();
    ///     std::thread::spawn(move || {
    ///         for line in ["one\n", "two\n"] {
    ///             if sender.send_blocking(line).is_err() {
    ///                 return;
    ///             }
    ///         }
    ///     });
    ///     fission_function::http::Response::new(body)
    /// })
    /// ```
    pub fn channel() -> (Sender, Self) {
        let (sender, chunks) = mpsc::channel(WAITING_CHUNKS);
        (Sender(sender), Self::new(Channel(chunks)))
    }

    /// All of it. How much that may be is the router's limit of a body.
    pub async fn collect(self) -> Result<Bytes, Error> {
        Ok(self.0.collect().await?.to_bytes())
    }

    /// The same for handlers that wait; an `async` one would hold up others with it.
    pub fn bytes(self) -> Result<Bytes, Error> {
        tokio::runtime::Handle::current().block_on(self.collect())
    }

    /// The same as text.
    pub fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8(self.bytes()?.into())?)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::new(Full::new(Bytes::new()))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        Self::new(Full::new(whole.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Body").finish_non_exhaustive()
    }
}

/// Makes a body chunk by chunk.
#[derive(Clone, Debug)]
pub struct Sender(mpsc::Sender<Result<Bytes, Error>>);

impl Sender {
    /// Sends a chunk. The error means that the client is gone.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> Result<(), Error> {
        Ok(self.0.send(Ok(chunk.into())).await?)
    }

    /// The same from a thread that may wait.
    pub fn send_blocking(&self, chunk: impl Into<Bytes>) -> Result<(), Error> {
        Ok(self.0.blocking_send(Ok(chunk.into()))?)
    }

    /// Breaks the body off, so that a part is not taken for the whole.
    pub async fn fail(self, reason: impl Into<Error>) {
        let reason = reason.into();
        crate::output::write_line(&format!("the body was broken off: {reason}"));
        // A client that is gone needs not be told.
        let _ = self.0.send(Err(reason)).await;
    }
}

struct Channel(mpsc::Receiver<Result<Bytes, Error>>);

impl HttpBody for Channel {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
