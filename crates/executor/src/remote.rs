//! Routers in other processes: they admit by themselves and say what they lack.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fission_api::Function;
use fission_rpc::demand::{Activity, DemandAnswer, DemandReport, EndpointAddress, EndpointUse, Suspicion};
use fission_rpc::endpoint::Address;
use fission_rpc::executor::Executor;
use fission_rpc::refusal::Refusal;
use tokio::time::Instant;

use crate::group::Group;
use crate::policy::Policy;
use crate::{PoolManager, admit, refusals};

/// Longest time a router waits for an answer before it is told that nothing has changed and says again what it lacks;
/// shorter than its report holds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl PoolManager {
    /// Makes what a router lacks, and answers as soon as there is an endpoint it does not know. `None` when this process is
    /// ending: nobody is refused for that, the next executor is to be asked.
    pub async fn demand(&self, report: DemandReport) -> Option<DemandAnswer> {
        let policy = &self.policy;
        let until = Instant::now() + ANSWER_WITHIN;
        let known: HashSet<&str> = report.endpoints.iter().map(|used| used.name.as_str()).collect();
        let asked = Arc::new(report.function.clone());
        loop {
            let group = match group_of(policy, &asked) {
                Ok(group) => group,
                Err(_) if policy.stopping.is_cancelled() => return None,
                Err(refusal) => return Some(refused(refusal)),
            };
            if let Some(refusal) = group.refused_lately(policy.options.refusal_memory) {
                return Some(refused(refusal));
            }
            let (mut news, (before, _)) = (group.news(), group.refusals());
            take(policy, &group, &report.router, report.waiting, &report.endpoints);
            policy.scale(&group);
            while !group.is_retired() {
                let answer = answer(policy, &group);
                if answer.endpoints.iter().any(|endpoint| !known.contains(endpoint.name.as_str())) {
                    return Some(answer);
                }
                if let (count, Some(refusal)) = group.refusals()
                    && count > before
                {
                    return Some(refused(refusal));
                }
                tokio::select! {
                    _ = news.changed() => {}
                    () = tokio::time::sleep_until(until) => return Some(answer),
                    () = policy.stopping.cancelled() => return None,
                }
            }
        }
    }

    /// Takes note of what a router has in flight, for all its functions.
    pub fn activity(&self, activity: &Activity) {
        let mut groups: HashMap<String, Vec<Arc<Group>>> = HashMap::new();
        for group in self.policy.all_groups() {
            groups.entry(group.endpoints.key().uid.clone()).or_default().push(group);
        }
        for function in &activity.functions {
            // Its endpoints may be those of another generation than it thinks.
            for group in groups.get(&function.uid).into_iter().flatten() {
                let waiting =
                    if group.endpoints.key().generation == function.generation { function.waiting } else { 0 };
                take(&self.policy, group, &activity.router, waiting, &function.endpoints);
                self.policy.scale(group);
            }
        }
    }

    /// An endpoint that did not work for a router is ended.
    pub fn suspicion(&self, suspicion: &Suspicion) {
        for group in self.policy.all_groups() {
            if group.endpoints.key().uid != suspicion.uid {
                continue;
            }
            let endpoints = group.endpoints.endpoints();
            let named = endpoints.iter().find(|one| *self.policy.backend.name_of(&one.id) == *suspicion.name);
            if let Some(endpoint) = named {
                self.suspect(&group.endpoints, endpoint);
            }
        }
    }
}

/// The group of the newest generation.
fn group_of(policy: &Arc<Policy>, asked: &Arc<Function>) -> Result<Arc<Group>, Refusal> {
    if policy.stopping.is_cancelled() {
        return Err(refusals::shutting_down());
    }
    let function = admit::newest(policy, asked)?;
    policy.group(&function, || policy.index.group(&function))
}

/// Takes a report in; what was used is not idle.
fn take(policy: &Policy, group: &Group, router: &str, waiting: usize, endpoints: &[EndpointUse]) {
    let used = group.reports.put(router, waiting, endpoints);
    if used.is_empty() {
        return;
    }
    for endpoint in group.endpoints.endpoints().iter() {
        let name = policy.backend.name_of(&endpoint.id);
        if used.iter().any(|used| **used == *name) {
            endpoint.touch();
        }
    }
}

fn refused(refusal: Refusal) -> DemandAnswer {
    DemandAnswer { refusal: Some(refusal.into()), ..DemandAnswer::default() }
}

fn answer(policy: &Policy, group: &Group) -> DemandAnswer {
    let endpoints = group.endpoints.endpoints();
    let open = endpoints.iter().filter(|endpoint| !endpoint.is_closed());
    let reachable = open.filter_map(|endpoint| match &endpoint.address {
        Address::Tcp(address) => {
            Some(EndpointAddress { name: policy.backend.name_of(&endpoint.id).to_string(), address: *address })
        }
        Address::Unix(_) | Address::Local(_) => None,
    });
    let loaded = group.instances().first().and_then(|newest| newest.loaded());
    let took = loaded.map(|loaded| loaded.ended.duration_since(loaded.began)).unwrap_or_default();
    DemandAnswer {
        endpoints: reachable.collect(),
        waiting_for: group.waited_for(policy.room.full()),
        specialize_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        refusal: None,
    }
}
