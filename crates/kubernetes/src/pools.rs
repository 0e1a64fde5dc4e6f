//! The pools of generic pods: one Deployment per environment, whose replicas are as many as the pool manager wants, and
//! which of its pods were given to it.
//!
//! A pod that is claimed leaves its Deployment by a change of labels, and the Deployment makes another. So the number of
//! replicas only follows what is wanted beyond the pool's size, up at once and down after a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fission_api::Environment;
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::InstanceId;
use tokio::time::Instant;

/// How long a pool must have had too many pods before some are taken away.
const QUIET: Duration = Duration::from_secs(10);

/// A pod that was given to the pool manager.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) pod: ObjectKey,
    pub(crate) address: SocketAddr,
    pub(crate) environment: Arc<Environment>,
    /// What the pod was made from.
    pub(crate) hash: String,
    /// Whether it has left its Deployment for a function.
    pub(crate) claimed: bool,
    /// Restarts of its containers when it was given.
    pub(crate) restarts: i32,
}

/// The Deployment of one environment.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) environment: Arc<Environment>,
    /// Namespace and name.
    pub(crate) deployment: ObjectKey,
    /// What its pods are made from now.
    pub(crate) hash: String,
    /// Replicas it was last given.
    pub(crate) replicas: usize,
    /// Creations that wait for a pod.
    pub(crate) waiting: usize,
    /// Since when it has more replicas than are needed.
    pub(crate) too_many_since: Option<Instant>,
}

/// Everything that is known of pools and pods given away.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) pools: HashMap<String, Pool>,
    held: HashMap<InstanceId, Held>,
    by_pod: HashMap<ObjectKey, InstanceId>,
}

/// A change of a Deployment's replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) environment_uid: String,
    pub(crate) deployment: ObjectKey,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Pools {
    /// Gives a pod away. False if it is somebody's already.
    pub(crate) fn give(&mut self, id: &InstanceId, held: Held) -> bool {
        if self.by_pod.contains_key(&held.pod) {
            return false;
        }
        self.by_pod.insert(held.pod.clone(), id.clone());
        self.held.insert(id.clone(), held);
        true
    }

    /// Whether a pod was given away.
    pub(crate) fn is_given(&self, pod: &ObjectKey) -> bool {
        self.by_pod.contains_key(pod)
    }

    /// The pod of an instance.
    pub(crate) fn of(&self, id: &InstanceId) -> Option<&Held> {
        self.held.get(id)
    }

    /// The instance a pod was given as, and what was noted then.
    pub(crate) fn given_as(&self, pod: &ObjectKey) -> Option<(&InstanceId, &Held)> {
        let id = self.by_pod.get(pod)?;
        Some((id, self.held.get(id)?))
    }

    /// Every pod that was given away.
    pub(crate) fn given(&self) -> Vec<ObjectKey> {
        self.by_pod.keys().cloned().collect()
    }

    /// It leaves its Deployment now.
    pub(crate) fn claim(&mut self, id: &InstanceId) -> Option<Held> {
        let held = self.held.get_mut(id)?;
        held.claimed = true;
        Some(held.clone())
    }

    /// Takes it back.
    pub(crate) fn take(&mut self, id: &InstanceId) -> Option<Held> {
        let held = self.held.remove(id)?;
        self.by_pod.remove(&held.pod);
        Some(held)
    }

    /// Pods a pool needs: those given away and not claimed, those waited for, and at least its size.
    pub(crate) fn needed(&self, environment_uid: &str) -> usize {
        let Some(pool) = self.pools.get(environment_uid) else { return 0 };
        let given = self.held.values().filter(|held| !held.claimed && held.hash == pool.hash).count();
        let size = usize::try_from(pool.environment.spec.pool_size()).unwrap_or_default();
        size.max(given + pool.waiting)
    }

    /// The Deployments that are to be scaled now.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Scale> {
        let needs: Vec<_> = self.pools.keys().map(|uid| (uid.clone(), self.needed(uid))).collect();
        let mut scales = Vec::new();
        for (uid, needed) in needs {
            let Some(pool) = self.pools.get_mut(&uid) else { continue };
            if needed >= pool.replicas {
                pool.too_many_since = None;
            } else if now.duration_since(*pool.too_many_since.get_or_insert(now)) < QUIET {
                continue;
            }
            if needed != pool.replicas {
                let (from, deployment) = (pool.replicas, pool.deployment.clone());
                scales.push(Scale { environment_uid: uid, deployment, from, to: needed });
            }
        }
        scales
    }

    /// Notes what a Deployment was scaled to.
    pub(crate) fn scaled(&mut self, environment_uid: &str, replicas: usize) {
        if let Some(pool) = self.pools.get_mut(environment_uid) {
            pool.replicas = replicas;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(size: i64) -> Pools {
        let mut environment = Environment::default();
        environment.spec.version = 3;
        environment.spec.poolsize = size;
        let key = |name: &str| ObjectKey { namespace: "f".into(), name: name.into() };
        let pool = Pool {
            environment: Arc::new(environment),
            deployment: key("d"),
            hash: "h".into(),
            replicas: usize::try_from(size).unwrap(),
            waiting: 0,
            too_many_since: None,
        };
        Pools { pools: HashMap::from([("e".to_owned(), pool)]), ..Pools::default() }
    }

    fn held(pools: &Pools, name: &str) -> Held {
        Held {
            pod: ObjectKey { namespace: "f".into(), name: name.into() },
            address: "10.0.0.1:8888".parse().unwrap(),
            environment: pools.pools["e"].environment.clone(),
            hash: "h".into(),
            claimed: false,
            restarts: 0,
        }
    }

    fn id(name: &str) -> InstanceId {
        InstanceId(name.into())
    }

    #[test]
    fn a_pod_is_given_to_one_only() {
        let mut pools = pools(1);
        let pod = held(&pools, "p");
        assert!(pools.give(&id("a"), pod.clone()));
        assert!(!pools.give(&id("b"), pod.clone()));
        assert_eq!(pools.take(&id("a")).unwrap().pod, pod.pod);
        assert!(pools.give(&id("b"), pod));
    }

    #[test]
    fn a_claimed_pod_is_replaced_by_its_deployment_without_scaling() {
        let mut pools = pools(2);
        for name in ["a", "b"] {
            let pod = held(&pools, name);
            pools.give(&id(name), pod);
        }
        pools.claim(&id("a"));
        // The pool manager asks for another one at once.
        pools.pools.get_mut("e").unwrap().waiting = 1;
        assert_eq!(pools.due(Instant::now()), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_scales_up_at_once_and_down_after_a_while() {
        let mut pools = pools(2);
        pools.pools.get_mut("e").unwrap().waiting = 7;
        let up = pools.due(Instant::now());
        assert_eq!((up[0].from, up[0].to), (2, 7));
        pools.scaled("e", 7);
        pools.pools.get_mut("e").unwrap().waiting = 0;
        assert_eq!(pools.due(Instant::now()), []);
        tokio::time::advance(QUIET).await;
        let down = pools.due(Instant::now());
        assert_eq!((down[0].from, down[0].to), (7, 2));
    }
}
