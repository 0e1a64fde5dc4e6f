//! One call of a function, whichever listener it came through: headers made, sent, counted.

use std::time::Instant;

use fission_rpc::refusal::{Component, Refusal};
use http::{HeaderValue, Method, Request, Response, Uri, Version};

use crate::body::{RequestBody, ResponseBody};
use crate::connection::InFlight;
use crate::errors;
use crate::forward::Call;
use crate::functions::TimeLimit;
use crate::headers::{self, Peer, Told};
use crate::router::Router;
use crate::routes::route::Chosen;
use crate::server::Tunnels;
use crate::timing::Timing;
use crate::upgrade;

/// Status logged for a caller that went away; no one gets to read it.
const CLIENT_GONE: u16 = 499;

/// Who asks, and over what.
pub(crate) struct Caller<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) request_id: HeaderValue,
    pub(crate) tunnels: &'a Tunnels,
    pub(crate) in_flight: &'a InFlight,
}

/// What goes to the function, and how it sees the path.
pub(crate) struct Outgoing<'a> {
    pub(crate) chosen: &'a Chosen,
    pub(crate) seen_uri: Uri,
    pub(crate) variables: Vec<(String, String)>,
    /// Whether the route wants every call queued instead of answered.
    pub(crate) queued: bool,
}

/// Counts a call once: with its answer, or as given up when it is dropped before.
struct Count<'a> {
    router: &'a Router,
    chosen: &'a Chosen,
    method: Method,
    start: Instant,
    counted: bool,
}

impl Count<'_> {
    fn answered(&mut self, status: u16) {
        self.counted = true;
        self.chosen.stats.count(&self.method, status, self.start.elapsed());
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        if !self.counted {
            self.answered(CLIENT_GONE);
            self.router.metrics.failure(Component::Router, "client_disconnect");
        }
    }
}

/// Calls the function. Refusals become responses here.
pub(crate) async fn call(
    router: &Router,
    caller: &Caller<'_>,
    outgoing: Outgoing<'_>,
    mut request: Request<RequestBody>,
    timing: &mut Timing,
) -> Response<ResponseBody> {
    let chosen = outgoing.chosen;
    let backend = &chosen.backend;
    if outgoing.queued || headers::wants_queue(request.headers()) {
        return errors::response(&errors::no_queue(&backend.key), &caller.request_id);
    }
    let mut count = Count { router, chosen, method: request.method().clone(), start: timing.start, counted: false };
    let upgrade = upgrade::is_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
    let received = std::mem::replace(request.uri_mut(), outgoing.seen_uri);
    let host = headers::host(&received, request.headers()).to_owned();
    let full_url = received.path_and_query().map_or("/", |path| path.as_str());
    let told = Told { backend, request_id: &caller.request_id, peer: caller.peer, full_url, host: &host };
    headers::prepare_request(request.headers_mut(), &told, upgrade.is_some());
    for (name, value) in &outgoing.variables {
        headers::insert_variable(request.headers_mut(), name, value);
    }
    headers::say_empty(&mut request);
    *request.version_mut() = Version::HTTP_11;
    let call = Call { router, backend, upgrade, tunnels: caller.tunnels };
    match call.run(request, timing).await {
        Ok(response) => {
            count.answered(response.status().as_u16());
            if let TimeLimit::Whole(whole) = backend.time_limit {
                caller.in_flight.cut_at(Instant::now() + whole);
            }
            response
        }
        Err(refusal) => {
            count.answered(refusal.status);
            router.metrics.failure(refusal.component, refusal.reason);
            log(&refusal, chosen, caller);
            errors::response(&refusal, &caller.request_id)
        }
    }
}

fn log(refusal: &Refusal, chosen: &Chosen, caller: &Caller<'_>) {
    tracing::info!(
        function = %chosen.backend.key,
        request_id = caller.request_id.to_str().unwrap_or_default(),
        component = refusal.component.as_str(),
        reason = refusal.reason,
        status = refusal.status,
        "call failed: {}",
        refusal.message
    );
}
