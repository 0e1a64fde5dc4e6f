//! Routers that are not ours: Fission's own ask for an address per request, say which they use, and give it back. What they
//! hold counts as in flight here, as if this process had sent the requests itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use fission_api::{ExecutorType, Function};
use fission_rpc::cache::ObjectKey;
use fission_rpc::demand::{Activity, DemandAnswer, DemandReport, EndpointUse, FunctionActivity};
use fission_rpc::endpoint::{FunctionKey, Lease};
use fission_rpc::executor::{ColdRequest, Executor as _};
use fission_rpc::refusal::Refusal;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::http::Both;

/// Who all of them are in the reports of routers.
const ROUTER: &str = "fission-router";
/// What Fission's executor adds to the time a specialization may take.
const BEYOND_SPECIALIZATION: Duration = Duration::from_secs(10);
/// How long beyond a function's time limit an address may be held that is never given back.
const BEYOND_CALL: Duration = Duration::from_secs(10);

/// An answer in the manner of Fission: plain text.
type Answer = Result<String, (StatusCode, String)>;

/// The paths of Fission's executor.
pub(crate) fn routes() -> axum::Router<Both> {
    axum::Router::new()
        .route("/v2/getServiceForFunction", post(service_for))
        .route("/v2/ensureCapacity", post(ensure_capacity))
        .route("/v2/tapServices", post(tap))
        .route("/v2/unTapService", post(untap))
}

/// Slots that are held for other routers, by the address they were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Mutex<HashMap<String, Vec<oneshot::Sender<()>>>>>);

impl Held {
    /// Holds a slot until it is given back, or for the longest time.
    fn hold(&self, address: &str, lease: Lease, longest: Duration) {
        let (give_back, given_back) = oneshot::channel();
        {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, held| {
                held.retain(|one| !one.is_closed());
                !held.is_empty()
            });
            all.entry(address.to_owned()).or_default().push(give_back);
        }
        tokio::spawn(async move {
            // Also over when it cannot be given back any more.
            let _ = tokio::time::timeout(longest, given_back).await;
            drop(lease);
        });
    }

    /// Gives one slot of an address back.
    fn give_back(&self, address: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |held: &mut Vec<oneshot::Sender<()>>| std::iter::from_fn(|| held.pop()).find(|one| !one.is_closed());
        if let Some(one) = all.get_mut(address).and_then(open) {
            let _ = one.send(());
        }
    }
}

/// What is called a service: one address of a function.
#[derive(Deserialize)]
struct Tapped {
    #[serde(rename = "FnMetadata")]
    function: TappedFunction,
    #[serde(rename = "FnExecutorType", default)]
    executor_type: String,
    #[serde(rename = "ServiceURL")]
    url: String,
}

#[derive(Deserialize)]
struct TappedFunction {
    #[serde(default)]
    uid: String,
}

impl Tapped {
    fn is_poolmgr(&self) -> bool {
        matches!(self.executor_type.as_str(), "" | "poolmgr")
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or(&self.url).trim_end_matches('/')
    }
}

/// What a router has of a function, and that it is not enough.
#[derive(Deserialize)]
struct Lacking {
    function: Function,
}

async fn service_for(State(both): State<Both>, Json(function): Json<Function>) -> Answer {
    let until = Instant::now() + time_to_specialize(&function);
    if is_scaled(&function) {
        let report = DemandReport { router: ROUTER.into(), function, waiting: 1, endpoints: Vec::new() };
        loop {
            let answer = both.scaled.demand(report.clone()).await;
            if let Some(refusal) = answer.refusal {
                return Err(told(&refusal.into()));
            }
            if !answer.endpoints.is_empty() {
                return Ok(both.scaled.address(&report.function));
            }
            if Instant::now() >= until {
                return Err(not_in_time(&report.function, &answer.waiting_for));
            }
        }
    }
    let function = Arc::new(function);
    let longest = Duration::from_secs(function.spec.timeout_seconds().unsigned_abs()) + BEYOND_CALL;
    let endpoints = both.pools.policy.index.group(&function);
    let request = ColdRequest { function: function.clone(), endpoints, deadline: until.into_std() };
    let lease = both.pools.admit(request).await.map_err(|refusal| told(&refusal))?.lease;
    let address = lease.endpoint().address.to_string();
    both.held.hold(&address, lease, longest);
    Ok(address)
}

/// One instance more than there is, whatever room the others have here: the router knows better.
async fn ensure_capacity(State(both): State<Both>, Json(lacking): Json<Lacking>) -> Answer {
    let function = lacking.function;
    if is_scaled(&function) {
        let why = format!("function {} is not of executor type poolmgr", ObjectKey::of(&function));
        return Err((StatusCode::BAD_REQUEST, why));
    }
    let until = Instant::now() + time_to_specialize(&function);
    let most = usize::try_from(function.spec.concurrency()).unwrap_or(usize::MAX);
    let before = instances(&both, &function);
    if before.len() >= most {
        let key = ObjectKey::of(&function);
        return Err((StatusCode::TOO_MANY_REQUESTS, format!("function '{key}' concurrency '{most}' limit reached.")));
    }
    let full = u32::try_from(function.spec.requests_per_pod()).unwrap_or(u32::MAX);
    let busy = before.iter().map(|name| EndpointUse { name: name.clone(), in_flight: full, served: 0 });
    let report = DemandReport { router: ROUTER.into(), function, waiting: 1, endpoints: busy.collect() };
    loop {
        let Some(DemandAnswer { endpoints, refusal, waiting_for, .. }) = both.pools.demand(report.clone()).await else {
            return Err((StatusCode::INTERNAL_SERVER_ERROR, "the executor is ending; ask again".into()));
        };
        if let Some(refusal) = refusal {
            return Err(told(&refusal.into()));
        }
        if let Some(new) = endpoints.iter().find(|one| !before.contains(&one.name)) {
            return Ok(new.address.to_string());
        }
        if Instant::now() >= until {
            return Err(not_in_time(&report.function, &waiting_for));
        }
    }
}

async fn tap(State(both): State<Both>, Json(all): Json<Vec<Tapped>>) -> Answer {
    let (of_pools, of_others): (Vec<_>, Vec<_>) = all.into_iter().partition(Tapped::is_poolmgr);
    let active = of_others.into_iter().map(|tapped| FunctionActivity {
        uid: tapped.function.uid,
        generation: 0,
        waiting: 0,
        endpoints: Vec::new(),
    });
    both.scaled.activity(&Activity { router: ROUTER.into(), functions: active.collect() });
    let mut used: HashSet<_> = of_pools.iter().map(|tapped| tapped.address().to_owned()).collect();
    for group in both.pools.policy.all_groups() {
        for endpoint in group.endpoints.endpoints().iter() {
            if used.remove(&endpoint.address.to_string()) {
                endpoint.touch();
            }
        }
    }
    if used.is_empty() {
        return Ok(String::new());
    }
    // Routine: what a router used last may be gone.
    let unknown: Vec<_> = used.into_iter().collect();
    Err((StatusCode::NOT_FOUND, format!("no instance has the address {}", unknown.join(", "))))
}

async fn untap(State(both): State<Both>, Json(tapped): Json<Tapped>) -> Answer {
    if !tapped.is_poolmgr() {
        let why = format!("{} is not an address of a function of executor type poolmgr", tapped.url);
        return Err((StatusCode::BAD_REQUEST, why));
    }
    both.held.give_back(tapped.address());
    Ok(String::new())
}

/// The names of a function's pods that take requests.
fn instances(both: &Both, function: &Function) -> HashSet<String> {
    let policy = &both.pools.policy;
    let Some(group) = policy.known_group(&FunctionKey::of(function)) else { return HashSet::new() };
    let endpoints = group.endpoints.endpoints();
    let open = endpoints.iter().filter(|endpoint| !endpoint.is_closed());
    open.map(|endpoint| policy.backend.name_of(&endpoint.id).to_string()).collect()
}

fn is_scaled(function: &Function) -> bool {
    matches!(function.spec.executor_type(), ExecutorType::Newdeploy | ExecutorType::Container)
}

fn time_to_specialize(function: &Function) -> Duration {
    Duration::from_secs(function.spec.specialization_timeout_seconds().unsigned_abs()) + BEYOND_SPECIALIZATION
}

fn not_in_time(function: &Function, waiting_for: &str) -> (StatusCode, String) {
    let message = format!("function {} was not there in time: it waits for {waiting_for}", ObjectKey::of(function));
    (StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// Fission knows these three of our statuses; everything else is an internal error there.
fn told(refusal: &Refusal) -> (StatusCode, String) {
    let status = match refusal.status {
        400 => StatusCode::BAD_REQUEST,
        404 => StatusCode::NOT_FOUND,
        429 => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, refusal.message.clone())
}
