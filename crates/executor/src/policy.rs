//! What the pool manager owns, and the few operations all its parts share.
//!
//! Locks are taken in this order and never held across an await: functions, pools, one group, one pool, one instance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_api::{Environment, Function};
use fission_rpc::code::CodeSource;
use fission_rpc::endpoint::{FunctionEndpoints, FunctionKey, Index};
use fission_rpc::refusal::Refusal;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::conditions::Conditions;
use crate::group::Group;
use crate::instance::{Instance, Register};
use crate::metrics::Metrics;
use crate::options::{Declarations, Options};
use crate::plan::Plan;
use crate::pool::{Pool, runtime_of};
use crate::room::Room;
use crate::{provisioned, specialize};

/// Longest time an instance may take to end once the platform goes down; its requests are done by then.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Groups of one function by uid: nearly always one, its newest generation.
type Functions = HashMap<String, Vec<Arc<Group>>>;

/// The state of the pool manager.
pub(crate) struct Policy {
    pub(crate) options: Options,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) declared: Declarations,
    pub(crate) index: Arc<Index>,
    pub(crate) code: Arc<dyn CodeSource>,
    pub(crate) register: Register,
    /// Instances this machine may make or load now.
    pub(crate) turns: Semaphore,
    /// Everything spawned, so that shutdown can wait for it.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the platform goes down: no new requests, no refilling.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when the time to drain is over: nothing is made or waited for any more.
    pub(crate) ending: CancellationToken,
    pub(crate) conditions: Conditions,
    /// A function that asks for provisioned instances was declared.
    pub(crate) provisioning: Notify,
    pub(crate) metrics: Metrics,
    pub(crate) room: Room,
    functions: Mutex<Functions>,
    /// Groups of replaced and deleted generations, until nothing of them is left.
    retired: Mutex<Vec<Arc<Group>>>,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
}

impl Policy {
    pub(crate) fn new(
        options: Options,
        backend: Arc<dyn Backend>,
        declared: Declarations,
        index: Arc<Index>,
        code: Arc<dyn CodeSource>,
    ) -> Arc<Self> {
        Arc::new(Self {
            register: Register::new(options.failed_kept),
            turns: Semaphore::new(options.specializations.clamp(1, Semaphore::MAX_PERMITS)),
            room: Room::new(&options),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            conditions: Conditions::default(),
            provisioning: Notify::new(),
            metrics: Metrics::default(),
            functions: Mutex::default(),
            retired: Mutex::default(),
            pools: Mutex::default(),
            options,
            backend,
            declared,
            index,
            code,
        })
    }

    fn functions(&self) -> MutexGuard<'_, Functions> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Arc<Group>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group of a function generation, made on first use.
    pub(crate) fn group(
        &self,
        function: &Arc<Function>,
        endpoints: impl FnOnce() -> Arc<FunctionEndpoints>,
    ) -> Result<Arc<Group>, Refusal> {
        let key = FunctionKey::of(function);
        let mut functions = self.functions();
        let generations = functions.entry(key.uid.clone()).or_default();
        if let Some(group) = generations.iter().find(|group| group.endpoints.key().generation == key.generation) {
            return Ok(group.clone());
        }
        let group = Group::new(function.clone(), endpoints(), Plan::of(&function.spec)?);
        generations.push(group.clone());
        Ok(group)
    }

    /// The group of a function generation, if there is one.
    pub(crate) fn known_group(&self, key: &FunctionKey) -> Option<Arc<Group>> {
        let functions = self.functions();
        functions.get(&key.uid)?.iter().find(|group| group.endpoints.key() == key).cloned()
    }

    /// All groups that take requests.
    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        self.functions().values().flatten().cloned().collect()
    }

    /// All groups, those of replaced and deleted generations too.
    pub(crate) fn all_groups(&self) -> Vec<Arc<Group>> {
        let mut groups = self.groups();
        groups.extend(self.retired().iter().cloned());
        groups
    }

    /// Retires the groups of a function that `which` picks, and returns them. Their waiters are still served.
    pub(crate) fn retire(self: &Arc<Self>, uid: &str, which: impl Fn(&Group) -> bool) -> Vec<Arc<Group>> {
        let mut functions = self.functions();
        let Some(generations) = functions.get_mut(uid) else { return Vec::new() };
        let gone: Vec<_> = generations.extract_if(.., |group| which(group)).collect();
        if generations.is_empty() {
            functions.remove(uid);
        }
        for group in &gone {
            group.retire();
        }
        drop(functions);
        self.retired().extend(gone.iter().cloned());
        gone
    }

    /// Forgets groups of which nothing is left.
    pub(crate) fn forget_empty(&self) {
        self.functions().retain(|_, generations| {
            generations.retain(|group| !group.retire_if_empty());
            !generations.is_empty()
        });
        self.retired().retain(|group| !group.is_empty());
    }

    /// Starts what a group needs now.
    pub(crate) fn scale(self: &Arc<Self>, group: &Arc<Group>) {
        let name_of = |id: &_| self.backend.name_of(id);
        for pending in group.start(&self.options, &name_of) {
            let (policy, group) = (self.clone(), group.clone());
            self.tasks.spawn(async move { specialize::bring(&policy, &group, pending).await });
        }
        provisioned::balance(self, group);
    }

    /// The pool of an environment as declared; a changed runtime makes a new pool in place of the old one.
    pub(crate) fn pool(self: &Arc<Self>, environment: &Arc<Environment>) -> Arc<Pool> {
        let uid = environment.metadata.uid.clone().unwrap_or_default();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pools.get(&uid).cloned();
        if let Some(pool) = &known {
            let seen = pool.environment();
            if Arc::ptr_eq(&seen, environment) || seen.metadata.generation >= environment.metadata.generation {
                return pool.clone();
            }
            if pool.runtime == runtime_of(environment) {
                drop(pools);
                pool.resize(environment.clone());
                return pool.clone();
            }
        }
        let pool = Pool::new(Arc::downgrade(self), environment.clone());
        pools.insert(uid, pool.clone());
        drop(pools);
        if let Some(old) = known {
            old.close();
        }
        pool
    }

    /// All pools.
    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The pool of an environment, if it has one.
    pub(crate) fn known_pool(&self, uid: &str) -> Option<Arc<Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// The pool an instance came from, unless a changed environment has another one now.
    pub(crate) fn pool_of(&self, instance: &Instance) -> Option<Arc<Pool>> {
        let uid = instance.environment.metadata.uid.as_deref().unwrap_or_default();
        self.known_pool(uid).filter(|pool| pool.runtime == instance.runtime)
    }

    /// Takes away the pool of a deleted environment.
    pub(crate) fn remove_pool(&self, uid: &str) {
        let pool = self.pools.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        if let Some(pool) = pool {
            pool.close();
            let (backend, environment) = (self.backend.clone(), pool.environment());
            self.tasks.spawn(async move { backend.forget(&environment).await });
        }
    }

    /// Ends an instance that serves no one, in the background.
    pub(crate) fn destroy(self: &Arc<Self>, instance: Arc<Instance>) {
        let policy = self.clone();
        self.tasks.spawn(async move {
            instance.draining();
            policy.end(&instance).await;
        });
    }

    /// Ends an instance that serves no one.
    pub(crate) async fn end(&self, instance: &Instance) {
        let limit = if self.stopping.is_cancelled() { SHUTDOWN_GRACE } else { Duration::MAX };
        let grace = instance.grace().min(limit);
        if instance.is_suspect() {
            // It may be ending by itself, and then that and the reason is what is to be shown.
            instance.last_words().await;
        }
        self.backend.destroy(&instance.id, grace).await;
        self.register.remove(&instance.id);
    }

    /// Makes and loads nothing from now on, and lets nobody wait for it.
    pub(crate) fn end_all(&self) {
        self.ending.cancel();
        self.turns.close();
        self.room.close();
    }

    /// Takes a specialized instance out of service; it is ended when its requests in flight are done. Those who wait
    /// for it get another as the function's limits allow.
    pub(crate) fn drain(self: &Arc<Self>, group: &Arc<Group>, instance: &Instance) {
        instance.draining();
        group.close(&instance.id);
        self.register.changed();
        self.scale(group);
    }

    /// Drains a retired group once nobody waits in it.
    pub(crate) fn settle(self: &Arc<Self>, group: &Arc<Group>) {
        if group.is_retired() && group.endpoints.prune_waiting() == 0 {
            for instance in group.instances() {
                self.drain(group, &instance);
            }
        }
    }

    /// Drains specialized instances whose environment has changed, once its new pool has shown that it works.
    pub(crate) fn recycle_outdated(self: &Arc<Self>) {
        let warm: HashMap<String, u64> = self
            .pools()
            .iter()
            .filter(|pool| pool.is_warm())
            .map(|pool| (pool.environment().metadata.uid.clone().unwrap_or_default(), pool.runtime))
            .collect();
        for group in self.groups() {
            for instance in group.instances() {
                let uid = instance.environment.metadata.uid.as_deref().unwrap_or_default();
                if warm.get(uid).is_some_and(|runtime| *runtime != instance.runtime) {
                    self.drain(&group, &instance);
                }
            }
        }
    }
}
