//! Commands: core modules for WASI preview 1 that are run once for each request, as a CGI program is.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fission_rpc::local::LocalBody;
use fission_rpc::logs::Stream;
use fission_rpc::refusal::Refusal;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncWriteExt, SimplexStream, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::cli::{AsyncStdinStream, IsTerminal, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi_http::Error;

use crate::call::{Head, REQUEST_ID};
use crate::cgi::{self, HeadReader, Progress};
use crate::guest::MemoryLimit;
use crate::instance::Instance;
use crate::outputs::Printer;

/// Bytes of a request's body that wait for the command.
const STDIN_BYTES: usize = 64 * 1024;
/// Pieces of its output that wait for the client, and how large each may be.
const STDOUT_PIECES: usize = 8;
const STDOUT_PIECE: usize = 64 * 1024;

/// The data of a command's store.
pub(crate) struct Command {
    pub(crate) wasi: WasiP1Ctx,
    memory: MemoryLimit,
}

/// Runs the command for one request. The head of the response is sent when it is printed.
pub(crate) async fn work(
    instance: Arc<Instance>,
    pre: InstancePre<Command>,
    request: Request<LocalBody>,
    head: oneshot::Sender<Head>,
) -> Result<(), Refusal> {
    let _call = instance.calls.token();
    let _running = instance.machine.running();
    let (parts, body) = request.into_parts();
    let stderr = Printer::new(instance.given.outputs.clone(), Stream::Stderr);
    stderr.begin(parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default());
    let (stdin, to_stdin) = tokio::io::simplex(STDIN_BYTES);
    let (to_client, mut printed) = mpsc::channel(STDOUT_PIECES);
    let cannot = |error: wasmtime::Error| instance.names.misbehaved(format!("cannot start: {error:#}"));
    let mut wasi = instance.given.wasi().map_err(cannot)?;
    // The request's variables win: whoever sets REQUEST_METHOD for a function does not mean it.
    wasi.envs(&cgi::variables(&parts)).arg(&instance.names.short);
    wasi.stdin(AsyncStdinStream::new(stdin)).stdout(Stdout(to_client)).stderr(stderr.clone());
    let memory = MemoryLimit::of(instance.given.memory);
    let mut store = Store::new(&instance.machine.engine, Command { wasi: wasi.build_p1(), memory });
    store.limiter(|command| &mut command.memory);
    instance.share_time(&mut store);

    let mut telling = Telling::new(head);
    let ran = {
        let mut run = pin!(run(&pre, &mut store));
        let mut feed = pin!(feed(body, to_stdin));
        let mut fed = false;
        loop {
            tokio::select! {
                biased;
                ran = &mut run => break ran,
                piece = printed.recv(), if telling.waits() => telling.take(piece, &mut printed),
                () = &mut feed, if !fed => fed = true,
                () = instance.ended.cancelled() => return Err(instance.names.misbehaved("was ended while it served")),
            }
        }
    };
    let failed = match ran {
        Err(error) if !matches!(error.downcast_ref(), Some(I32Exit(0))) => {
            Some(instance.failed(&store.data().memory, &stderr, &error))
        }
        _ => None,
    };
    stderr.end();
    // Its end is the end of the output.
    drop(store);
    if let Some(refusal) = failed {
        return Err(refusal);
    }
    while telling.waits() {
        let piece = printed.recv().await;
        telling.take(piece, &mut printed);
    }
    telling.wrong.map_or(Ok(()), |why| Err(instance.names.misbehaved(why)))
}

async fn run(pre: &InstancePre<Command>, store: &mut Store<Command>) -> wasmtime::Result<()> {
    let module = pre.instantiate_async(&mut *store).await?;
    let start = module.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(&mut *store, ()).await
}

/// Gives the command the request's body. What it does not read is not read.
async fn feed(mut body: LocalBody, mut to_stdin: WriteHalf<SimplexStream>) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if to_stdin.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = to_stdin.shutdown().await;
}

/// Makes the head of the response from what is printed first.
struct Telling {
    reader: HeadReader,
    /// Absent when it was sent, or will not be.
    head: Option<oneshot::Sender<Head>>,
    wrong: Option<String>,
}

impl Telling {
    fn new(head: oneshot::Sender<Head>) -> Self {
        Self { reader: HeadReader::default(), head: Some(head), wrong: None }
    }

    fn waits(&self) -> bool {
        self.head.is_some()
    }

    fn take(&mut self, piece: Option<Bytes>, printed: &mut mpsc::Receiver<Bytes>) {
        match self.reader.take(piece.as_ref()) {
            Progress::More => {}
            Progress::Wrong(why) => {
                self.wrong = Some(why);
                self.head = None;
            }
            Progress::Done(response) => {
                // The rest is the client's to read.
                let rest = std::mem::replace(printed, mpsc::channel(1).1);
                let response: Response<Bytes> = response;
                let answer = response.map(|early| Printed { early: Some(early), rest }.boxed_unsync());
                if let Some(head) = self.head.take() {
                    let _ = head.send(Ok(answer));
                }
            }
        }
    }
}

/// The body of a command's response.
struct Printed {
    early: Option<Bytes>,
    rest: mpsc::Receiver<Bytes>,
}

impl Body for Printed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(early) = self.early.take().filter(|early| !early.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(early))));
        }
        self.rest.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// A command's standard output: it waits while the client is slow.
#[derive(Clone)]
struct Stdout(mpsc::Sender<Bytes>);

impl IsTerminal for Stdout {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdout {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only for interfaces that are not offered.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Stdout {
    async fn ready(&mut self) {
        // An error is seen by who writes next.
        let _ = self.0.reserve().await;
    }
}

impl OutputStream for Stdout {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.0.try_send(bytes) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(StreamError::Closed),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(StreamError::trap("more was printed than there was room for"))
            }
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.0.is_closed() {
            return Err(StreamError::Closed);
        }
        Ok(if self.0.capacity() > 0 { STDOUT_PIECE } else { 0 })
    }
}
