//! What is looked after beside the pool manager's wishes: replicas of pools, keys of namespaces, and what belongs to nothing
//! any more.

use std::collections::HashSet;
use std::time::Duration;

use fission_api::labels;
use fission_rpc::cache::{Change, ObjectKey};
use fission_rpc::namespaces::Namespaces;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backend::Shared;
use crate::names::{namespace, uid};
use crate::{deployments, keys, pods};

/// Pause after a pool could not be scaled.
const PAUSE: Duration = Duration::from_secs(1);
/// How often things are looked at when nothing happens.
const TICK: Duration = Duration::from_secs(5);

/// Keeps the replicas of pools as they are needed.
pub(crate) async fn scale(shared: &Shared) {
    let mut changes = shared.changed.subscribe();
    loop {
        let scales = shared.pools().due(Instant::now());
        for scale in scales {
            if scale.to < scale.from {
                let spare = spare(shared, &scale.environment_uid, scale.from - scale.to);
                deployments::spare(&shared.client, &spare).await;
            }
            match deployments::scale(&shared.client, &scale.deployment, scale.to).await {
                Ok(()) => shared.pools().scaled(&scale.environment_uid, scale.to),
                Err(error) => {
                    tracing::warn!(deployment = %scale.deployment, to = scale.to, %error, "a pool could not be scaled");
                    // What it has is not known; the next look writes it again.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let _ = tokio::time::timeout(TICK, changes.changed()).await;
    }
}

/// Generic pods that are nobody's.
fn spare(shared: &Shared, environment_uid: &str, most: usize) -> Vec<ObjectKey> {
    let pods = shared.pods.list();
    let pools = shared.pools();
    pods.iter()
        .filter(|pod| pods::label(pod, labels::ENVIRONMENT_UID) == environment_uid && pods::is_generic(pod))
        .map(|pod| ObjectKey::of(pod.as_ref()))
        .filter(|key| !pools.is_given(key))
        .take(most)
        .collect()
}

/// Gives every namespace of pods its keys.
pub(crate) async fn provide_keys(shared: &Shared, mut namespaces: watch::Receiver<Namespaces>) {
    let mut provided = HashSet::new();
    loop {
        let mut wanted: HashSet<String> = match namespaces.borrow_and_update().names() {
            Some(names) => names.iter().cloned().collect(),
            // Everywhere: where environments are.
            None => shared.environments.list().iter().map(|one| namespace(one.as_ref()).to_owned()).collect(),
        };
        wanted.retain(|name| !provided.contains(name));
        for name in wanted {
            match keys::provide(&shared.client, &shared.options.secret, &name).await {
                Ok(()) => _ = provided.insert(name),
                Err(error) => tracing::warn!(namespace = name, %error, "pods of this namespace get no keys yet"),
            }
        }
        // Where they never change there is nothing to be told of.
        if let Ok(Err(_)) = tokio::time::timeout(TICK, namespaces.changed()).await {
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Removes pools of environments and Services of functions that are gone, at the start and when something is deleted.
pub(crate) async fn sweep(shared: &Shared, namespaces: watch::Receiver<Namespaces>) {
    shared.environments.synced().await;
    shared.functions.synced().await;
    let known = namespaces.borrow().names().cloned();
    for name in known.into_iter().flatten() {
        let environments: HashSet<String> =
            shared.environments.list().iter().map(|one| uid(one.as_ref()).to_owned()).collect();
        let pools = deployments::list(&shared.client, &name, deployments::POOLMGR).await.unwrap_or_default();
        for pool in pools {
            let owner = pool.metadata.labels.as_ref().and_then(|all| all.get(labels::ENVIRONMENT_UID));
            if owner.is_none_or(|owner| !environments.contains(owner)) {
                let _ = deployments::delete(&shared.client, &ObjectKey::of(&pool)).await;
            }
        }
        let functions: HashSet<String> =
            shared.functions.list().iter().map(|one| uid(one.as_ref()).to_owned()).collect();
        if let Err(error) = shared.services.sweep(&name, |owner| functions.contains(owner)).await {
            tracing::warn!(namespace = name, %error, "Services of functions that are gone could not be looked for");
        }
    }
    let mut changes = shared.functions.subscribe();
    while let Some(change) = changes.next().await {
        if let Change::Deleted(function) = change {
            let place = shared.options.function_namespace.clone();
            let place = place.unwrap_or_else(|| namespace(function.as_ref()).to_owned());
            shared.services.delete(uid(function.as_ref()), &place).await;
        }
    }
}
