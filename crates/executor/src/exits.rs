//! Instances that ended without being told to.

use std::sync::Arc;
use std::time::Duration;

use fission_rpc::instances::Phase;

use crate::backend::InstanceExit;
use crate::policy::Policy;

/// Takes an ended instance out of service at once, shows why it ended, and replaces it where it is missed.
pub(crate) fn exited(policy: &Arc<Policy>, exit: &InstanceExit) {
    let Some(phase) = policy.register.get(&exit.id).map(|instance| instance.phase()) else { return };
    let Some(instance) = policy.register.fail(&exit.id, &exit.why) else { return };
    tracing::warn!(instance = %exit.id, why = %exit.why, ?phase, "an instance ended by itself");
    match instance.loaded() {
        Some(loaded) => {
            loaded.endpoint.close();
            if let Some(group) = loaded.group.upgrade() {
                group.lost(&instance);
                policy.scale(&group);
            }
            // Whoever attends it cleans up once its last request is given back.
        }
        None => {
            if phase == Phase::Generic
                && let Some(pool) = policy.pool_of(&instance)
            {
                pool.lost(&instance, &exit.why);
            }
            let policy = policy.clone();
            policy.clone().tasks.spawn(async move { policy.backend.destroy(&instance.id, Duration::ZERO).await });
        }
    }
}
