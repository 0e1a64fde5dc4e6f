//! The life of the pool manager: follow declarations, tick, hear of ended instances; at the end drain and clean up.

use std::sync::Arc;
use std::time::Duration;

use fission_rpc::instances::Phase;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::policy::Policy;
use crate::{exits, provisioned, reaper, refusals, updates};

/// How often shutdown looks whether requests are still in flight.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Longest time ending every instance may take, killing included.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Runs until cancelled, then until everything is ended.
pub(crate) async fn run(policy: Arc<Policy>, cancel: CancellationToken) {
    let mut ended = policy.backend.exits();
    let following = {
        let policy = policy.clone();
        tokio::spawn(async move { updates::follow(&policy).await })
    };
    let provisioning = {
        let policy = policy.clone();
        tokio::spawn(async move { provisioned::follow(&policy).await })
    };
    let mut ticks = tokio::time::interval(policy.options.reap_interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let hearing = {
        let policy = policy.clone();
        tokio::spawn(async move {
            while let Some(exit) = ended.recv().await {
                exits::exited(&policy, &exit);
            }
        })
    };
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = ticks.tick() => reaper::tick(&policy),
        }
    }
    policy.stopping.cancel();
    following.abort();
    provisioning.abort();
    if policy.backend.outlives() {
        hand_over(&policy).await;
    } else {
        shut_down(&policy).await;
    }
    hearing.abort();
}

/// Lets what is being loaded be loaded; instances are the next process's.
async fn hand_over(policy: &Arc<Policy>) {
    let deadline = Instant::now() + CLEAN_UP;
    while policy.register.living().iter().any(|instance| instance.phase() == Phase::Specializing)
        && Instant::now() < deadline
    {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

/// Lets requests that wait or are in flight end, up to the drain deadline; then ends every instance.
async fn shut_down(policy: &Arc<Policy>) {
    let deadline = Instant::now() + policy.options.drain_deadline;
    while busy(policy) > 0 && Instant::now() < deadline {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    let left = busy(policy);
    if left > 0 {
        let limit_s = policy.options.drain_deadline.as_secs();
        tracing::warn!(requests = left, limit_s, "shutting down although requests are not done");
    }
    for pool in policy.pools() {
        pool.close();
    }
    for group in policy.all_groups() {
        group.retire();
        group.endpoints.refuse_waiting(&refusals::shutting_down());
        for instance in group.instances() {
            policy.drain(&group, &instance);
        }
    }
    policy.end_all();
    for instance in policy.register.living() {
        if matches!(instance.phase(), Phase::Generic | Phase::Specializing) {
            policy.destroy(instance);
        }
    }
    policy.tasks.close();
    if tokio::time::timeout(CLEAN_UP, policy.tasks.wait()).await.is_err() {
        tracing::warn!(instances = policy.register.living().len(), "gave up waiting for instances to end");
    }
}

fn busy(policy: &Policy) -> usize {
    let serving: usize = policy
        .register
        .living()
        .iter()
        .filter_map(|instance| instance.loaded())
        .map(|loaded| loaded.endpoint.in_flight() as usize)
        .sum();
    let waiting: usize = policy.all_groups().iter().map(|group| group.endpoints.prune_waiting()).sum();
    serving + waiting
}
