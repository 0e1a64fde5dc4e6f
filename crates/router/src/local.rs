//! Calls of instances inside this process: the same headers, limits and errors as over a connection, and no connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use fission_rpc::endpoint::Lease;
use fission_rpc::local::{Local, LocalBody, LocalBodyError};
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;

use crate::body::{Held, RequestBody, ResponseBody, Source, Watchdog};
use crate::forward::{Call, Failed};
use crate::timing::Timing;
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
    let mut answer = service.0.call(request.map(boxed));
    let mut timer = pin!(tokio::time::sleep_until(watchdog.next().into()));
    let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await;
    timing.function = sent.elapsed();
    match answer {
        Some(Ok(response)) => Ok(call.response(response.map(Source::Local), Held { lease, link: None }, watchdog)),
        Some(Err(refusal)) => Err(Failed::Final(refusal)),
        None => Err(Failed::Final(errors::out_of_time(call.backend, watchdog.reason()))),
    }
}

fn boxed(body: RequestBody) -> LocalBody {
    body.map_err(|error| LocalBodyError(errors::explain(&error).to_owned())).boxed_unsync()
}
