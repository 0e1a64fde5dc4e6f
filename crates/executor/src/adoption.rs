//! Instances of an earlier process, taken over where they still serve what is declared, ended where they do not.

use std::sync::Arc;

use fission_api::{Environment, Function};
use fission_rpc::endpoint::{Endpoint, FunctionKey};
use tokio::time::Instant;

use crate::backend::Adopted;
use crate::instance::{Instance, Loaded};
use crate::policy::Policy;
use crate::pool::runtime_of;
use crate::{room, specialize};

/// Takes over what there is. The declarations are known by now.
pub(crate) async fn adopt(policy: &Arc<Policy>) {
    let found = policy.backend.adopt().await;
    if found.is_empty() {
        return;
    }
    let (mut taken, all) = (0, found.len());
    for instance in found {
        let id = instance.id.clone();
        if adopt_one(policy, instance).await {
            taken += 1;
        } else {
            let grace = std::time::Duration::from_secs(1);
            let (policy, backend) = (policy.clone(), policy.backend.clone());
            policy.tasks.spawn(async move {
                backend.withdraw(&id).await;
                backend.destroy(&id, grace).await;
            });
        }
    }
    tracing::info!(taken, ended = all - taken, "instances of an earlier executor were looked at");
}

/// Takes one over. False when it serves nothing that is declared.
async fn adopt_one(policy: &Arc<Policy>, found: Adopted) -> bool {
    let Some((function, environment)) = declared(policy, &found) else { return false };
    let Ok(group) = policy.group(&function, || policy.index.group(&function)) else { return false };
    let Some((slot, _making)) = room::enter(policy, || true).await else { return false };
    // One that was made from another state of the environment goes once the pool of the present state works.
    let runtime = if found.is_current { runtime_of(&environment) } else { 0 };
    let address = found.created.address.clone();
    let instance = Instance::with_id(found.id, environment, runtime, None, slot);
    if !instance.ready(found.created) || !instance.specializing(function) {
        return false;
    }
    instance.set_provisioned(found.is_provisioned);
    policy.register.insert(instance.clone());
    let now = Instant::now();
    let loaded = Loaded {
        group: Arc::downgrade(&group),
        endpoint: Endpoint::new(instance.id.clone(), address),
        package: found.package,
        configuration: found.configuration,
        began: now,
        ended: now,
    };
    specialize::serve(policy, &group, &instance, loaded)
}

/// The function it serves, if that generation is still the declared one, and its environment.
fn declared(policy: &Policy, found: &Adopted) -> Option<(Arc<Function>, Arc<Environment>)> {
    let functions = policy.declared.functions.list();
    let function = functions.into_iter().find(|function| FunctionKey::of(function) == found.function)?;
    let environments = policy.declared.environments.list();
    let is_its = |environment: &Arc<Environment>| environment.metadata.uid.as_deref() == Some(&found.environment_uid);
    Some((function, environments.into_iter().find(is_its)?))
}
