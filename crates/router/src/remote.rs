//! The executor in another process: what this router lacks is told to it, what it has is put into the index.
//!
//! Per function there is at most one question under way, however many requests wait: a report of how many. The answer
//! names every endpoint there is, so an answer that was lost is made up for by the next.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fission_api::Function;
use fission_rpc::cache::ObjectKey;
use fission_rpc::causes;
use fission_rpc::demand::{
    ACTIVITY_PATH, ACTIVITY_PERIOD, Activity, DEMAND_PATH, DemandAnswer, DemandReport, EndpointUse, FunctionActivity,
    SUSPECT_PATH, Suspicion,
};
use fission_rpc::endpoint::{Address, Endpoint, FunctionEndpoints, FunctionKey, Index, InstanceId};
use fission_rpc::executor::{Admission, ColdRequest, Executor};
use fission_rpc::refusal::{Component, Refusal};
use fission_rpc::signed;
use fission_rpc::signing::Key;
use serde::Serialize;
use tokio::sync::Notify;

/// Requests that may wait for one function at this router: about 10 MB of held requests.
const MAX_QUEUE: usize = 10_000;
/// Longest time an answer may take: the executor answers earlier, if only to say that nothing has changed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest time to connect to the executor.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// First pause after the executor could not be asked; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Requests that come within this time are reported together.
const TOGETHER: Duration = Duration::from_millis(1);

/// The executor behind an address. It admits from the index it shares with the router, which others fill as well.
pub struct RemoteExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    http: reqwest::Client,
    key: Key,
    /// Identifies this process.
    router: String,
    index: Arc<Index>,
    asking: Mutex<HashMap<FunctionKey, Arc<Asking>>>,
}

/// What is known while a function's endpoints are asked for.
#[derive(Default)]
struct Asking {
    /// More requests wait than were reported.
    more: Notify,
    said: Mutex<Said>,
}

#[derive(Clone, Default)]
struct Said {
    waiting_for: String,
    specialize: Duration,
}

impl Asking {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RemoteExecutor {
    /// The executor at `url`, asked with requests signed by `key`.
    pub fn new(url: impl Into<String>, key: Key, index: Arc<Index>) -> Result<Self, reqwest::Error> {
        let http = signed::client().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN);
        Ok(Self {
            shared: Arc::new(Shared {
                url: url.into(),
                http: http.build()?,
                key,
                router: uuid::Uuid::new_v4().to_string(),
                index,
                asking: Mutex::default(),
            }),
        })
    }

    /// Tells the executor what is in flight, so that it does not take for idle what is in use. Runs until dropped.
    pub fn report_activity(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.shared.clone();
        async move { shared.report_activity().await }
    }
}

#[async_trait]
impl Executor for RemoteExecutor {
    async fn admit(&self, request: ColdRequest) -> Result<Admission, Refusal> {
        let (shared, group, began) = (&self.shared, &request.endpoints, Instant::now());
        if group.demand().waiting >= MAX_QUEUE && group.prune_waiting() >= MAX_QUEUE {
            return Err(queue_full(&request.function));
        }
        let answer = group.enqueue();
        let asking = shared.ask(&request.function, group);
        match tokio::time::timeout_at(request.deadline.into(), answer).await {
            Ok(Ok(Ok(lease))) => {
                let took = began.elapsed();
                // It counts for those who were the first at an endpoint.
                let loaded = lease.endpoint().served() < u64::from(group.limit());
                let specialize = if loaded { asking.said().specialize.min(took) } else { Duration::ZERO };
                Ok(Admission { lease, wait: took - specialize, specialize })
            }
            Ok(Ok(Err(refusal))) => Err(refusal),
            Ok(Err(_)) => Err(unavailable("the router is ending")),
            Err(_) => Err(timed_out(&request.function, &asking.said().waiting_for)),
        }
    }

    fn suspect(&self, group: &Arc<FunctionEndpoints>, endpoint: &Arc<Endpoint>) {
        if !endpoint.close() {
            return;
        }
        tracing::info!(pod = %endpoint.id, address = %endpoint.address, "an endpoint does not work and is not used");
        let suspicion = Suspicion { uid: group.key().uid.clone(), name: endpoint.id.to_string() };
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if let Err(why) = shared.post(SUSPECT_PATH, &suspicion).await {
                tracing::debug!(why, "the executor was not told of a suspected endpoint");
            }
        });
    }
}

impl Shared {
    fn asking(&self) -> MutexGuard<'_, HashMap<FunctionKey, Arc<Asking>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that someone asks for endpoints of the function as long as requests wait.
    fn ask(self: &Arc<Self>, function: &Arc<Function>, group: &Arc<FunctionEndpoints>) -> Arc<Asking> {
        let mut all = self.asking();
        if let Some(asking) = all.get(group.key()) {
            asking.more.notify_one();
            return asking.clone();
        }
        let asking = Arc::new(Asking::default());
        all.insert(group.key().clone(), asking.clone());
        let (shared, function, group, mine) = (self.clone(), function.clone(), group.clone(), asking.clone());
        tokio::spawn(async move { shared.ask_on(&function, &group, &mine).await });
        asking
    }

    async fn ask_on(&self, function: &Arc<Function>, group: &Arc<FunctionEndpoints>, asking: &Asking) {
        let mut pause = PAUSE;
        loop {
            let waiting = {
                // Under the lock: who begins to wait from now on finds nobody asking.
                let mut all = self.asking();
                let waiting = group.prune_waiting();
                if waiting == 0 {
                    all.remove(group.key());
                    return;
                }
                waiting
            };
            let report = DemandReport {
                router: self.router.clone(),
                function: function.as_ref().clone(),
                waiting,
                endpoints: in_use(group),
            };
            let answer = tokio::select! {
                answer = self.demand(&report) => answer,
                () = more_than(group, waiting, asking) => continue,
            };
            match answer {
                Ok(answer) => {
                    pause = PAUSE;
                    take(group, answer, &report, asking);
                }
                Err(why) => {
                    asking.said().waiting_for = format!("the executor to answer: {why}");
                    tracing::warn!(function = %ObjectKey::of(function.as_ref()), why, "the executor could not be asked");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn demand(&self, report: &DemandReport) -> Result<DemandAnswer, String> {
        let response = self.post(DEMAND_PATH, report).await?;
        response.json().await.map_err(|error| format!("its answer is unreadable: {error}"))
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<reqwest::Response, String> {
        let request = self.http.post(format!("{}{path}", self.url)).json(body).build();
        let mut request = request.map_err(|error| error.to_string())?;
        signed::sign(&self.key, &mut request).ok_or("the request cannot be signed")?;
        let response = self.http.execute(request).await.map_err(|error| causes(&error))?;
        let status = response.status();
        match status.as_u16() {
            200..300 => Ok(response),
            401 => Err(signed::not_accepted(response.headers())),
            _ => Err(format!("{path} was answered {status}")),
        }
    }

    async fn report_activity(&self) {
        let mut served: HashMap<String, u64> = HashMap::new();
        let mut active: HashSet<FunctionKey> = HashSet::new();
        loop {
            tokio::time::sleep(ACTIVITY_PERIOD).await;
            let (mut functions, mut now) = (Vec::new(), HashSet::new());
            let mut seen = HashMap::new();
            for group in self.index.groups() {
                let (endpoints, waiting) = (in_use(&group), group.demand().waiting);
                let is_used = |one: &EndpointUse| one.in_flight > 0 || served.get(&one.name) != Some(&one.served);
                let is_active = waiting > 0 || endpoints.iter().any(is_used);
                seen.extend(endpoints.iter().map(|one| (one.name.clone(), one.served)));
                if is_active {
                    now.insert(group.key().clone());
                }
                // Once more after it was active, so that its requests are known to have ended.
                if is_active || active.contains(group.key()) {
                    let FunctionKey { uid, generation } = group.key().clone();
                    functions.push(FunctionActivity { uid, generation, waiting, endpoints });
                }
            }
            served = seen;
            active = now;
            if functions.is_empty() {
                continue;
            }
            let activity = Activity { router: self.router.clone(), functions };
            if let Err(why) = self.post(ACTIVITY_PATH, &activity).await {
                tracing::warn!(why, "the executor does not know what is in flight here");
            }
        }
    }
}

/// Waits until clearly more requests wait than were reported.
async fn more_than(group: &FunctionEndpoints, reported: usize, asking: &Asking) {
    loop {
        asking.more.notified().await;
        tokio::time::sleep(TOGETHER).await;
        if group.demand().waiting > reported {
            return;
        }
    }
}

fn in_use(group: &FunctionEndpoints) -> Vec<EndpointUse> {
    let endpoints = group.endpoints();
    let uses = endpoints.iter().map(|endpoint| EndpointUse {
        name: endpoint.id.to_string(),
        in_flight: endpoint.in_flight(),
        served: endpoint.served(),
    });
    uses.collect()
}

/// Puts what the executor has into the index, or refuses those who wait.
fn take(group: &Arc<FunctionEndpoints>, answer: DemandAnswer, report: &DemandReport, asking: &Asking) {
    *asking.said() = Said { waiting_for: answer.waiting_for, specialize: Duration::from_millis(answer.specialize_ms) };
    if let Some(refusal) = answer.refusal {
        group.refuse_waiting(&refusal.into());
        return;
    }
    let endpoints = group.endpoints();
    for endpoint in answer.endpoints {
        let is_known = report.endpoints.iter().any(|known| known.name == endpoint.name)
            || endpoints.iter().any(|known| *known.id.0 == *endpoint.name);
        if !is_known {
            group.add(Endpoint::new(InstanceId(endpoint.name.into()), Address::Tcp(endpoint.address)));
        }
    }
}

fn unavailable(what: &str) -> Refusal {
    Refusal::new(503, Component::Router, "executor_unavailable", what).hint("send the request again")
}

fn queue_full(function: &Function) -> Refusal {
    let key = ObjectKey::of(function);
    let message = format!("function {key} has {MAX_QUEUE} requests waiting at this router, the most allowed");
    Refusal::new(429, Component::Router, "capacity_exceeded", message)
        .limit("queue", MAX_QUEUE, "run more routers: helm upgrade --set router.replicas=N")
        .hint("send fewer requests at once, or let each instance serve several with --requestsperpod")
}

fn timed_out(function: &Function, waiting_for: &str) -> Refusal {
    let (key, seconds) = (ObjectKey::of(function), function.spec.timeout_seconds());
    let waiting_for = if waiting_for.is_empty() { "the executor to answer" } else { waiting_for };
    let message = format!("function {key} was not reached in time: the request was waiting for {waiting_for}");
    Refusal::new(504, Component::Timeout, "function_timeout", message).limit(
        "spec.functionTimeout",
        format!("{seconds} s"),
        format!("fission function update --name {} --fntimeout {}", key.name, seconds.saturating_mul(2)),
    )
}
