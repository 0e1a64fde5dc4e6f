//! A request that found no endpoint with room: it waits, and the pool manager makes what it needs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fission_api::Function;
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::{Endpoint, FunctionEndpoints, Lease};
use fission_rpc::executor::{Admission, ColdRequest, Executor};
use fission_rpc::refusal::Refusal;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::group::{Group, Joined};
use crate::policy::Policy;
use crate::{PoolManager, refusals};

/// How often a request looks for the successor of a group that was just retired. Each time a newer generation exists,
/// so more than a few in a row means that something is wrong.
const SUCCESSORS: usize = 16;

type Answer = oneshot::Receiver<Result<Lease, Refusal>>;

#[async_trait]
impl Executor for PoolManager {
    async fn admit(&self, request: ColdRequest) -> Result<Admission, Refusal> {
        let policy = &self.policy;
        let began = Instant::now();
        let (group, answer) = join(policy, &request)?;
        policy.scale(&group);
        let outcome = match tokio::time::timeout_at(request.deadline.into(), answer).await {
            Ok(Ok(Ok(lease))) => Ok(admission(&group, lease, began)),
            Ok(Ok(Err(refusal))) => Err(refusal),
            // The group answers everyone before it goes; this is what is left to say if it could not.
            Ok(Err(_)) => Err(refusals::shutting_down()),
            Err(_) => Err(refusals::timed_out(&group.function, &group.waited_for(policy.room.full()))),
        };
        policy.settle(&group);
        outcome
    }

    fn suspect(&self, endpoints: &Arc<FunctionEndpoints>, endpoint: &Arc<Endpoint>) {
        endpoint.close();
        let policy = &self.policy;
        let Some(instance) = policy.register.get(&endpoint.id) else {
            endpoints.remove(&endpoint.id);
            return;
        };
        tracing::info!(instance = %instance.id, address = %endpoint.address, "a suspected instance is ended");
        instance.suspect();
        if let Some(group) = instance.loaded().and_then(|loaded| loaded.group.upgrade()) {
            policy.drain(&group, &instance);
        }
    }

    async fn ended(&self, endpoint: &Arc<Endpoint>) -> Option<String> {
        match self.policy.register.get(&endpoint.id) {
            Some(instance) => instance.last_words().await,
            None => self.policy.register.why_failed(&endpoint.id),
        }
    }
}

/// Finds the newest generation's group and waits in it.
fn join(policy: &Arc<Policy>, request: &ColdRequest) -> Result<(Arc<Group>, Answer), Refusal> {
    for _ in 0..SUCCESSORS {
        if policy.stopping.is_cancelled() {
            return Err(refusals::shutting_down());
        }
        let function = newest(policy, &request.function)?;
        // Not the request's own: they may be those of a group that was retired without a new generation.
        let group = policy.group(&function, || policy.index.group(&function))?;
        match group.join(policy.options.max_queue, policy.options.refusal_memory) {
            Joined::Waiting(answer) => return Ok((group, answer)),
            Joined::Refused(refusal) => return Err(refusal),
            Joined::Full => {
                policy.metrics.rejected.get_or_create_owned(&crate::metrics::labels(&group.function)).inc();
                return Err(refusals::queue_full(&group.function, &group.plan, policy.options.max_queue));
            }
            Joined::Retired => {}
        }
    }
    Err(refusals::deleted(&ObjectKey::of(request.function.as_ref())))
}

/// The function as declared now. A request that was routed just before an update is served by the new generation.
pub(crate) fn newest(policy: &Policy, asked: &Arc<Function>) -> Result<Arc<Function>, Refusal> {
    let key = ObjectKey::of(asked.as_ref());
    let declared = policy.declared.functions.get(&key).ok_or_else(|| refusals::deleted(&key))?;
    let older = declared.metadata.uid == asked.metadata.uid && declared.metadata.generation < asked.metadata.generation;
    Ok(if older { asked.clone() } else { declared })
}

/// Where the time went. A specialization counts for those it gave a slot to, as far as they waited for it.
fn admission(group: &Group, lease: Lease, began: Instant) -> Admission {
    let now = Instant::now();
    let specialize = group
        .instance(&lease.endpoint().id)
        .and_then(|instance| instance.loaded())
        .filter(|_| lease.endpoint().served() < u64::from(group.endpoints.limit()))
        .map(|loaded| loaded.ended.saturating_duration_since(loaded.began.max(began)))
        .unwrap_or(Duration::ZERO);
    Admission { lease, wait: now.duration_since(began).saturating_sub(specialize), specialize }
}
