//! What components print, on its way to the log store.
//!
//! The store takes pipes, as from any instance, so its limits hold here too. The pipes of an instance are made when it
//! prints for the first time: a silent one has none.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use fission_rpc::logs::{LogOwner, LogSink, Stream};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Sender;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::lock;

/// Bytes that may wait for room in a pipe before a component that prints has to wait.
const MAX_PENDING: usize = 64 * 1024;
/// Longest line, in bytes; a longer one is cut there. The log store cuts sooner.
const MAX_LINE: usize = 64 * 1024;

/// Both outputs of one instance.
pub(crate) struct Outputs {
    sink: Arc<dyn LogSink>,
    owner: LogOwner,
    /// `None` inside when they could not be made; what is printed is then lost.
    pipes: OnceLock<Option<[Pipe; 2]>>,
}

struct Pipe {
    sender: Sender,
    pending: Mutex<Vec<u8>>,
}

impl Outputs {
    pub(crate) fn new(sink: Arc<dyn LogSink>, owner: LogOwner) -> Arc<Self> {
        Arc::new(Self { sink, owner, pipes: OnceLock::new() })
    }

    fn pipe(&self, stream: Stream) -> Option<&Pipe> {
        let pipes = self.pipes.get_or_init(|| match self.open() {
            Ok(pipes) => Some(pipes),
            Err(error) => {
                tracing::error!(%error, owner = ?self.owner, "the output of an instance is lost");
                None
            }
        });
        Self::of(pipes, stream)
    }

    /// One of the pipes, if there are any.
    fn opened(&self, stream: Stream) -> Option<&Pipe> {
        self.pipes.get().and_then(|pipes| Self::of(pipes, stream))
    }

    fn of(pipes: &Option<[Pipe; 2]>, stream: Stream) -> Option<&Pipe> {
        pipes.as_ref().map(|[stdout, stderr]| if stream == Stream::Stdout { stdout } else { stderr })
    }

    fn open(&self) -> std::io::Result<[Pipe; 2]> {
        let (stdout, out) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, err) = pipe_with(PipeFlags::CLOEXEC)?;
        let pipes =
            [out, err].map(|end| Sender::from_owned_fd(end).map(|sender| Pipe { sender, pending: Mutex::default() }));
        let [out, err] = pipes;
        let owner = self.owner.clone();
        self.sink.capture(Arc::new(move || owner.clone()), stdout, stderr);
        Ok([out?, err?])
    }

    /// The platform's own word, on standard error.
    pub(crate) fn note(&self, request_id: &str, text: &str) {
        for line in text.lines() {
            self.line(Stream::Stderr, request_id, format!("[fission] {line}").as_bytes());
        }
    }

    /// Sees to it that what still waits for room is handed over although nobody prints any more.
    fn hand_over_rest(self: &Arc<Self>, stream: Stream) {
        if self.opened(stream).is_none_or(Pipe::is_clear) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let outputs = self.clone();
        runtime.spawn(async move {
            while let Some(pipe) = outputs.opened(stream).filter(|pipe| !pipe.is_clear())
                && pipe.sender.writable().await.is_ok()
            {
                pipe.send(&mut lock(&pipe.pending));
            }
        });
    }

    fn line(&self, stream: Stream, request_id: &str, line: &[u8]) {
        let Some(pipe) = self.pipe(stream) else { return };
        let mut pending = lock(&pipe.pending);
        if !request_id.is_empty() {
            pending.push(0x1e);
            pending.extend_from_slice(request_id.as_bytes());
            pending.push(0x1e);
        }
        pending.extend_from_slice(line);
        pending.push(b'\n');
        pipe.send(&mut pending);
    }
}

impl Pipe {
    fn is_clear(&self) -> bool {
        lock(&self.pending).is_empty()
    }

    /// Hands over as much as there is room for.
    fn send(&self, pending: &mut Vec<u8>) {
        let mut sent = 0;
        while sent < pending.len() {
            // Not by the runtime at first: of a new pipe it does not know yet that there is room. When there is none it
            // must know that it is to wait.
            let rest = &pending[sent..];
            let written = match rustix::io::write(&self.sender, rest) {
                Err(Errno::AGAIN) => self.sender.try_write(rest),
                written => written.map_err(Into::into),
            };
            match written {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The reader is gone: nobody will ever want the rest.
                Err(_) => sent = pending.len(),
            }
        }
        pending.drain(..sent);
    }
}

/// One output of one store, which serves one request at a time.
#[derive(Clone)]
pub(crate) struct Printer {
    outputs: Arc<Outputs>,
    stream: Stream,
    state: Arc<Mutex<Printing>>,
}

#[derive(Default)]
struct Printing {
    request_id: String,
    /// A line that has not ended.
    line: Vec<u8>,
}

impl Printer {
    pub(crate) fn new(outputs: Arc<Outputs>, stream: Stream) -> Self {
        Self { outputs, stream, state: Arc::default() }
    }

    /// A request begins.
    pub(crate) fn begin(&self, request_id: &str) {
        let mut state = lock(&self.state);
        state.request_id.clear();
        state.request_id.push_str(request_id);
    }

    /// It is over, and so is its last line.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        if !state.line.is_empty() {
            let line = std::mem::take(&mut state.line);
            self.outputs.line(self.stream, &state.request_id, &line);
        }
        self.outputs.hand_over_rest(self.stream);
    }

    /// The platform's own word about the request.
    pub(crate) fn note(&self, text: &str) {
        let request_id = lock(&self.state).request_id.clone();
        self.outputs.note(&request_id, text);
    }

    fn print(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            state.line.extend_from_slice(piece.strip_suffix(b"\n").unwrap_or(piece));
            if ends || state.line.len() >= MAX_LINE {
                self.outputs.line(self.stream, &state.request_id, &state.line);
                state.line.clear();
            }
        }
    }

    /// Bytes that may be printed now.
    fn room(&self) -> usize {
        // Before anything was printed there is no pipe, and it is not made by asking.
        let Some(pipe) = self.outputs.opened(self.stream) else { return MAX_PENDING };
        let mut pending = lock(&pipe.pending);
        pipe.send(&mut pending);
        MAX_PENDING.saturating_sub(pending.len())
    }
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only for interfaces that are not offered.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {
        while self.room() == 0 {
            let Some(pipe) = self.outputs.opened(self.stream) else { return };
            if pipe.sender.writable().await.is_err() {
                return;
            }
        }
    }
}

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_PENDING {
            return Err(StreamError::trap("more was printed at once than there was room for"));
        }
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.room())
    }
}
