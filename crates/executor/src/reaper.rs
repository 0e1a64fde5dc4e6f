//! What happens on every tick: idle instances end, minimums are kept, what could not be done before is tried again.

use std::sync::Arc;
use std::time::Duration;

use fission_rpc::endpoint::{Endpoint, FunctionKey};
use fission_rpc::instances::Phase;

use crate::capacity::to_reap;
use crate::group::Group;
use crate::instance::Instance;
use crate::policy::Policy;

/// One tick.
pub(crate) fn tick(policy: &Arc<Policy>) {
    for group in policy.all_groups() {
        reap(policy, &group);
        policy.settle(&group);
        policy.scale(&group);
    }
    policy.recycle_outdated();
    for pool in policy.pools() {
        pool.tick();
    }
    for _ in 0..policy.room.waiting() {
        if !make_room(policy) {
            break;
        }
    }
    policy.forget_empty();
    forget_stale_keys(policy);
    policy.register.forget_failed(policy.options.failed_kept_for);
}

/// Instances of a group that may be reaped once idle for `idle`, oldest last.
fn candidates(group: &Group, idle: Duration) -> Vec<(Duration, Arc<Instance>)> {
    let open: Vec<_> = group
        .instances()
        .into_iter()
        .filter(|instance| instance.phase() == Phase::Specialized)
        .filter_map(|instance| Some((instance.loaded()?.endpoint, instance)))
        .filter(|(endpoint, _)| !endpoint.is_closed())
        .collect();
    let is_idle = |(endpoint, instance): &(Arc<Endpoint>, Arc<Instance>)| {
        endpoint.in_flight() == 0 && endpoint.idle_for() >= idle && !instance.is_provisioned()
    };
    let is_idle: Vec<bool> = open.iter().map(is_idle).collect();
    to_reap(&is_idle, group.plan.keep)
        .into_iter()
        .map(|position| (open[position].0.idle_for(), open[position].1.clone()))
        .collect()
}

/// Ends what has been idle longer than the function's idle timeout. A request that comes first wins.
fn reap(policy: &Arc<Policy>, group: &Arc<Group>) {
    let idle = Duration::from_secs(group.function.spec.idle_timeout_seconds().unsigned_abs());
    for (_, instance) in candidates(group, idle) {
        close_if_idle(policy, group, &instance);
    }
}

fn close_if_idle(policy: &Arc<Policy>, group: &Arc<Group>, instance: &Instance) -> bool {
    let closed = instance.loaded().is_some_and(|loaded| loaded.endpoint.close_if_idle());
    if closed {
        policy.drain(group, instance);
    }
    closed
}

/// Ends one instance that serves no one, because another needs its room: the one idle for longest, else a generic one
/// of the fullest pool. Returns whether there was one.
pub(crate) fn make_room(policy: &Arc<Policy>) -> bool {
    let mut idle: Vec<_> = policy
        .groups()
        .into_iter()
        .flat_map(|group| candidates(&group, Duration::ZERO).into_iter().map(move |found| (found, group.clone())))
        .collect();
    idle.sort_by_key(|((idle_for, _), _)| std::cmp::Reverse(*idle_for));
    if idle.iter().any(|((_, instance), group)| close_if_idle(policy, group, instance)) {
        return true;
    }
    let fullest = policy.pools().into_iter().max_by_key(|pool| pool.ready());
    fullest.is_some_and(|pool| pool.give_up_one())
}

/// Forgets index entries of generations that are no longer declared and that nobody uses.
fn forget_stale_keys(policy: &Policy) {
    let groups = policy.index.groups();
    let functions = &policy.declared.functions;
    if groups.len() <= functions.len() {
        return;
    }
    let declared: std::collections::HashSet<FunctionKey> =
        functions.list().iter().map(|function| FunctionKey::of(function)).collect();
    for endpoints in groups {
        let demand = endpoints.demand();
        if !declared.contains(endpoints.key()) && demand.waiting == 0 && endpoints.endpoints().is_empty() {
            policy.index.forget(endpoints.key());
        }
    }
}
