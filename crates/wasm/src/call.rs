//! One request and the component that serves it. Who waits for the response drives the component, then who reads the
//! body does: there is no task and no channel between, and dropping either ends the call.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fission_api::labels::header;
use fission_rpc::local::{LocalBody, LocalBodyError};
use fission_rpc::refusal::Refusal;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, WasiHttpView};

use crate::artifacts::Code;
use crate::command;
use crate::guest::Guest;
use crate::instance::{Instance, Ready};

/// How long a component may work on after its response is complete.
const AFTER_RESPONSE: Duration = Duration::from_secs(30);
/// The request's name in logs.
pub(crate) const REQUEST_ID: &str = header::REQUEST_ID;

/// The head of a response, with the body behind it.
pub(crate) type Head = Result<Response<HyperOutgoingBody>, ErrorCode>;
type Work = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// What came first.
enum First {
    Head(Head),
    End(Result<(), Refusal>),
}

/// Serves one request.
pub(crate) async fn serve(
    instance: Arc<Instance>,
    request: Request<LocalBody>,
) -> Result<Response<LocalBody>, Refusal> {
    let (sender, mut receiver) = oneshot::channel();
    let mut work: Work = match &instance.loaded.code {
        Code::Component(pre) => Box::pin(work(instance.clone(), pre.clone(), request, sender)),
        Code::Command(pre) => Box::pin(command::work(instance.clone(), pre.clone(), request, sender)),
    };
    let mut waiting = true;
    let first = poll_fn(|cx| {
        if let Poll::Ready(end) = work.as_mut().poll(cx) {
            return Poll::Ready(First::End(end));
        }
        if waiting && let Poll::Ready(head) = Pin::new(&mut receiver).poll(cx) {
            match head {
                Ok(head) => return Poll::Ready(First::Head(head)),
                // It will not answer; what it ends with says why.
                Err(_) => waiting = false,
            }
        }
        Poll::Pending
    })
    .await;
    let (head, work) = match first {
        First::End(Err(refusal)) => return Err(refusal),
        First::End(Ok(())) => (receiver.try_recv().ok(), None),
        First::Head(head) => (Some(head), Some(work)),
    };
    match head {
        Some(Ok(response)) => Ok(response.map(|body| answer(body, work, instance))),
        Some(Err(code)) => Err(instance.names.misbehaved(format!("answered with the error {code:?}"))),
        None => Err(instance.names.misbehaved("returned without answering")),
    }
}

/// Has a store serve the request and takes it back. The head of the response is sent when there is one.
async fn work(
    instance: Arc<Instance>,
    pre: ProxyPre<Guest>,
    request: Request<LocalBody>,
    head: oneshot::Sender<Head>,
) -> Result<(), Refusal> {
    let _call = instance.calls.token();
    let _running = instance.machine.running();
    let mut ready = instance.take(&pre).await?;
    let served = tokio::select! {
        biased;
        served = handle(&mut ready, request, head) => served,
        () = instance.ended.cancelled() => return Err(instance.names.misbehaved("was ended while it served")),
    };
    match served {
        Ok(()) => {
            ready.store.data().end();
            instance.put(ready);
            Ok(())
        }
        Err(error) => Err(instance.failed(&ready.store.data().memory, &ready.store.data().stderr, &error)),
    }
}

async fn handle(ready: &mut Ready, request: Request<LocalBody>, head: oneshot::Sender<Head>) -> wasmtime::Result<()> {
    let guest: &mut Guest = ready.store.data_mut();
    let request_id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    guest.begin(request_id.unwrap_or_default());
    let request = request.map(|body| body.map_err(|_| Error::HttpProtocolError));
    let request = guest.http().new_incoming_request(Scheme::Http, request)?;
    let answer = guest.http().new_response_outparam(head)?;
    ready.store.set_epoch_deadline(1);
    ready.proxy.wasi_http_incoming_handler().call_handle(&mut ready.store, request, answer).await
}

/// The body of a response. Where the component is done already, its length is known and nothing has to be driven.
fn answer(mut body: HyperOutgoingBody, work: Option<Work>, instance: Arc<Instance>) -> LocalBody {
    let mut rest = None;
    if work.is_none() {
        match gather(&mut body) {
            Ok(whole) => return Full::new(whole).map_err(|never| match never {}).boxed_unsync(),
            Err(frames) => rest = Some(frames),
        }
    }
    Answer { early: rest.unwrap_or_default().into_iter(), body, work, instance, over: false }.boxed_unsync()
}

/// What a component that is done wrote, as one piece; or the frames so far where there is more than data.
fn gather(body: &mut HyperOutgoingBody) -> Result<Bytes, Vec<Result<Frame<Bytes>, Error>>> {
    let mut context = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    loop {
        match Pin::new(&mut *body).poll_frame(&mut context) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => frames.push(frame),
            Poll::Ready(Some(other)) => {
                let mut all: Vec<_> = frames.into_iter().map(Ok).collect();
                all.push(other);
                return Err(all);
            }
            Poll::Pending => return Err(frames.into_iter().map(Ok).collect()),
        }
    }
    let mut pieces = frames.into_iter().filter_map(|frame| frame.into_data().ok());
    let first = pieces.next().unwrap_or_default();
    let Some(second) = pieces.next() else { return Ok(first) };
    let mut whole = BytesMut::from(first);
    whole.extend_from_slice(&second);
    pieces.for_each(|piece| whole.extend_from_slice(&piece));
    Ok(whole.freeze())
}

/// A body that the component still writes.
struct Answer {
    early: std::vec::IntoIter<Result<Frame<Bytes>, Error>>,
    body: HyperOutgoingBody,
    /// Absent when the component is done.
    work: Option<Work>,
    instance: Arc<Instance>,
    over: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = LocalBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LocalBodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.early.next() {
            return Poll::Ready(Some(frame.map_err(|error| explain(&error))));
        }
        if this.over {
            return Poll::Ready(None);
        }
        if let Some(work) = &mut this.work
            && let Poll::Ready(end) = work.as_mut().poll(cx)
        {
            this.work = None;
            if let Err(refusal) = end {
                this.over = true;
                return Poll::Ready(Some(Err(LocalBodyError(refusal.message))));
            }
        }
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        if frame.is_none() {
            this.over = true;
            if let Some(work) = this.work.take() {
                this.instance.linger(async move {
                    // What goes wrong now is in the function's log.
                    let _ = tokio::time::timeout(AFTER_RESPONSE, work).await;
                });
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| explain(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn explain(error: &Error) -> LocalBodyError {
    LocalBodyError(format!("the component did not finish its response: {error}"))
}
