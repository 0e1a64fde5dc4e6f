//! Calls of instances inside this process: the same headers, limits and errors as over a connection, and no connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use fission_rpc::endpoint::Lease;
use fission_rpc::local::{Local, LocalBody, LocalBodyError, LocalCall};
use fission_rpc::refusal::{Component, Refusal};
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio_util::task::AbortOnDropHandle;

use crate::body::{Held, RequestBody, ResponseBody, Source, Watchdog};
use crate::forward::{Call, Failed};
use crate::timing::Timing;
use crate::workers::Workers;
use crate::{errors, headers};

/// Calls an admitted instance. One that cannot switch protocols answers as if it had not been asked to.
pub(crate) async fn send(
    call: &mut Call<'_>,
    service: &Local,
    lease: Lease,
    mut request: Request<RequestBody>,
    timing: &mut Timing,
) -> Result<Response<ResponseBody>, Failed> {
    if call.upgrade.take().is_some() {
        headers::strip_hop_by_hop(request.headers_mut(), false);
    }
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    let sent = timing.sends();
    let watchdog = Watchdog::start(call.backend.time_limit, sent);
    let answer = answer(call.router.workers(), service.0.call(request.map(boxed)));
    let answer = tokio::time::timeout_at(watchdog.next().into(), answer).await;
    timing.function = sent.elapsed();
    match answer {
        Ok(Ok(response)) => Ok(call.response(response.map(Source::Local), Held { lease, link: None }, watchdog)),
        Ok(Err(refusal)) => Err(Failed::Final(refusal)),
        Err(_) => Err(Failed::Final(errors::out_of_time(call.backend, watchdog.reason()))),
    }
}

/// An instance's answer. One that is there at once costs no change of threads; one that takes its time computes at home, where
/// it keeps no other connection waiting.
async fn answer(workers: &Workers, call: LocalCall) -> Result<Response<LocalBody>, Refusal> {
    let mut call = workers.at_home(call);
    if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx))).await {
        return answer;
    }
    match AbortOnDropHandle::new(workers.home().spawn(call)).await {
        Ok(answer) => answer,
        Err(error) => {
            let message = format!("the call of an instance in this process ended without an answer: {error}");
            Err(Refusal::new(500, Component::Router, "internal_error", message))
        }
    }
}

fn boxed(body: RequestBody) -> LocalBody {
    body.map_err(|error| LocalBodyError(errors::explain(&error).to_owned())).boxed_unsync()
}
