//! Declarations that changed: the old is taken out of service without dropping a request, the new comes on demand.

use std::sync::Arc;

use fission_api::{Environment, ExecutorType, Function, Package, labels};
use fission_rpc::cache::{Change, ObjectKey};
use fission_rpc::endpoint::FunctionKey;

use crate::configuration::{self, Source};
use crate::group::Group;
use crate::policy::Policy;
use crate::{provisioned, refusals, specialize};

/// Follows the declarations until the platform stops.
pub(crate) async fn follow(policy: &Arc<Policy>) {
    let declared = &policy.declared;
    let mut functions = declared.functions.subscribe();
    let mut environments = declared.environments.subscribe();
    let mut packages = declared.packages.subscribe();
    let mut secrets = declared.secrets.subscribe();
    let mut config_maps = declared.config_maps.subscribe();
    reread_environments(policy);
    reread_functions(policy);
    loop {
        tokio::select! {
            () = policy.stopping.cancelled() => return,
            Some(change) = environments.next() => match change {
                Change::Applied(environment) => environment_applied(policy, &environment),
                Change::Deleted(environment) => environment_deleted(policy, &environment),
                Change::Reread => reread_environments(policy),
            },
            Some(change) = functions.next() => match change {
                Change::Applied(function) => function_applied(policy, &function),
                Change::Deleted(function) => function_deleted(policy, &function),
                Change::Reread => reread_functions(policy),
            },
            Some(change) = packages.next() => match change {
                Change::Applied(package) => package_applied(policy, &package),
                Change::Deleted(_) => {} // what runs goes on; new instances are refused with the reason
                Change::Reread => declared.packages.list().iter().for_each(|package| package_applied(policy, package)),
            },
            Some(change) = secrets.next() => match change {
                Change::Applied(secret) | Change::Deleted(secret) => {
                    let key = ObjectKey::of(secret.as_ref());
                    source_changed(policy, &key.namespace, &Source::Secret(key.name));
                }
                Change::Reread => reread_configurations(policy),
            },
            Some(change) = config_maps.next() => match change {
                Change::Applied(map) | Change::Deleted(map) => {
                    let key = ObjectKey::of(map.as_ref());
                    source_changed(policy, &key.namespace, &Source::ConfigMap(key.name));
                }
                Change::Reread => reread_configurations(policy),
            },
            else => return,
        }
    }
}

fn reread_functions(policy: &Arc<Policy>) {
    for function in policy.declared.functions.list() {
        function_applied(policy, &function);
    }
    for group in policy.groups() {
        let declared = policy.declared.functions.get(&ObjectKey::of(group.function.as_ref()));
        if declared.is_none_or(|declared| declared.metadata.uid != group.function.metadata.uid) {
            function_deleted(policy, &group.function);
        }
    }
}

fn function_applied(policy: &Arc<Policy>, function: &Arc<Function>) {
    let key = FunctionKey::of(function);
    // Annotations are no new generation, but instances made before act on those they were made with.
    let older = |group: &Group| {
        group.endpoints.key().generation < key.generation || for_instances(&group.function) != for_instances(function)
    };
    for group in policy.retire(&key.uid, older) {
        policy.index.forget(group.endpoints.key());
        policy.settle(&group);
    }
    provisioned::declared(policy, function);
    let scale = &function.spec.invoke_strategy.execution_strategy;
    let made_here = function.spec.executor_type() == ExecutorType::Newdeploy && !policy.options.scaled_elsewhere;
    if !made_here || scale.min_scale <= 0 {
        return;
    }
    match policy.group(function, || policy.index.group(function)) {
        Ok(group) => policy.scale(&group),
        Err(refusal) => tracing::warn!(function = %ObjectKey::of(function.as_ref()), %refusal, "not started"),
    }
}

/// What a function's annotations say to its instances.
fn for_instances(function: &Function) -> [Option<&String>; labels::FOR_INSTANCES.len()] {
    let annotations = function.metadata.annotations.as_ref();
    labels::FOR_INSTANCES.map(|name| annotations.and_then(|all| all.get(name)))
}

fn function_deleted(policy: &Arc<Policy>, function: &Function) {
    let refusal = refusals::deleted(&ObjectKey::of(function));
    let uid = function.metadata.uid.as_deref().unwrap_or_default();
    for group in policy.retire(uid, |_| true) {
        policy.index.forget(group.endpoints.key());
        group.refuse(&refusal, false);
        policy.settle(&group);
    }
    policy.index.forget(&FunctionKey::of(function));
    policy.metrics.forget(function);
}

fn reread_environments(policy: &Arc<Policy>) {
    let declared = policy.declared.environments.list();
    for environment in &declared {
        environment_applied(policy, environment);
    }
    for pool in policy.pools() {
        let environment = pool.environment();
        if !declared.iter().any(|other| other.metadata.uid == environment.metadata.uid) {
            environment_deleted(policy, &environment);
        }
    }
}

fn environment_applied(policy: &Arc<Policy>, environment: &Arc<Environment>) {
    let uid = environment.metadata.uid.as_deref().unwrap_or_default();
    let known = policy.known_pool(uid).map(|pool| pool.environment());
    if known.is_some_and(|known| known.metadata.generation == environment.metadata.generation) {
        return; // only its status changed, and that is our own writing
    }
    policy.pool(environment).refill();
    policy.recycle_outdated();
    policy.conditions.environment_unshared(environment);
    for group in policy.groups() {
        if group.function.spec.environment.name == environment.metadata.name.as_deref().unwrap_or_default() {
            group.try_again();
            policy.scale(&group);
        }
    }
}

fn environment_deleted(policy: &Arc<Policy>, environment: &Environment) {
    let uid = environment.metadata.uid.as_deref().unwrap_or_default();
    policy.remove_pool(uid);
    for group in policy.all_groups() {
        for instance in group.instances() {
            if instance.environment.metadata.uid.as_deref() == Some(uid) {
                policy.drain(&group, &instance);
            }
        }
    }
}

fn package_applied(policy: &Arc<Policy>, package: &Package) {
    let key = ObjectKey::of(package);
    for group in policy.groups() {
        let function = &group.function;
        let uses_it = function.spec.package.package_ref.name == key.name
            && function.metadata.namespace.as_deref() == Some(&key.namespace);
        if uses_it && refusals::not_deployable(function, package).is_none() {
            group.try_again();
            follow_package(policy, &group, package);
        }
    }
}

/// Drains what was loaded from other content, once the new content can be deployed. A function may opt out.
fn follow_package(policy: &Arc<Policy>, group: &Arc<Group>, package: &Package) {
    let annotations = group.function.metadata.annotations.as_ref();
    let stays = annotations.and_then(|all| all.get(labels::DISABLE_PACKAGE_AUTO_FOLLOW));
    if stays.is_some_and(|value| value == "true") || refusals::not_deployable(&group.function, package).is_some() {
        return;
    }
    let version = specialize::version_of(package);
    for instance in group.instances() {
        if instance.loaded().is_some_and(|loaded| loaded.package != version) {
            policy.drain(group, &instance);
        }
    }
}

/// Makes up for what changed while an instance was loaded, when nobody who follows changes could see it yet.
pub(crate) fn catch_up(policy: &Arc<Policy>, group: &Arc<Group>) {
    if group.is_retired() {
        return;
    }
    let function = &group.function;
    let namespace = function.metadata.namespace.clone().unwrap_or_default();
    let key = ObjectKey { namespace, name: function.spec.package.package_ref.name.clone() };
    if let Some(package) = policy.declared.packages.get(&key) {
        follow_package(policy, group, &package);
    }
    follow_configuration(policy, group);
}

/// A secret or config map was written or deleted.
fn source_changed(policy: &Arc<Policy>, namespace: &str, source: &Source) {
    for group in policy.groups() {
        let function = &group.function;
        if function.metadata.namespace.as_deref() == Some(namespace) && configuration::refers_to(function, source) {
            configuration_changed(policy, &group);
        }
    }
}

fn reread_configurations(policy: &Arc<Policy>) {
    for group in policy.groups() {
        if configuration::refers(&group.function) {
            configuration_changed(policy, &group);
        }
    }
}

fn configuration_changed(policy: &Arc<Policy>, group: &Arc<Group>) {
    group.try_again();
    follow_configuration(policy, group);
    policy.scale(group);
}

/// Drains the instances of a group that were given something else than it would be given now. While it cannot be
/// given everything, what runs goes on, and new instances are refused with the reason.
fn follow_configuration(policy: &Arc<Policy>, group: &Arc<Group>) {
    if !configuration::refers(&group.function) {
        return;
    }
    let Ok(now) = specialize::resolve(policy, &group.function) else { return };
    let now = now.fingerprint();
    for instance in group.instances() {
        if instance.loaded().is_some_and(|loaded| loaded.configuration != now) {
            policy.drain(group, &instance);
        }
    }
}
