//! The warm, generic instances of one environment.
//!
//! A pool makes an instance for each taker that finds none ready, and refills itself to its target in the background.
//! What arrives first is given to the oldest taker. A pool whose instances keep ending waits longer and longer before
//! it refills, and tells takers why at once instead of trying for each of them.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use fission_api::{Environment, Function};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::InstanceId;
use fission_rpc::instances::Phase;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backend::{BackendError, InstanceSpec};
use crate::instance::Instance;
use crate::plan::count;
use crate::policy::Policy;
use crate::room;

/// Failures in a row after which takers are told at once, and people are told in the environment's status.
const CRASH_LOOP: u32 = 3;
/// Pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pause after the host turned out to lack something; short, because a person may just be installing it.
const UNSUPPORTED_PAUSE: Duration = Duration::from_secs(5);
/// A generic instance that lived this long is not part of a crash loop.
const STABLE: Duration = Duration::from_secs(10);

/// Identifies what instances of an environment are made from. Pool size and builder are not part of it.
pub(crate) fn runtime_of(environment: &Environment) -> u64 {
    let spec = &environment.spec;
    let mut hasher = DefaultHasher::new();
    environment.metadata.uid.hash(&mut hasher);
    // These always serialize: they were read from JSON.
    for part in [serde_json::to_vec(&spec.runtime), serde_json::to_vec(&spec.resources)] {
        part.unwrap_or_default().hash(&mut hasher);
    }
    (spec.version, spec.keeparchive, &spec.imagepullsecret, spec.grace_seconds()).hash(&mut hasher);
    hasher.finish()
}

/// A generic instance taken from a pool. Unless it is claimed, it goes back when dropped.
pub(crate) struct Generic {
    pool: Arc<Pool>,
    instance: Option<Arc<Instance>>,
}

impl Generic {
    /// Keeps it.
    pub(crate) fn claim(mut self) -> Option<Arc<Instance>> {
        self.instance.take()
    }
}

impl Drop for Generic {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.pool.clone().offer(instance);
        }
    }
}

/// The pool of one environment, as it is declared now; a change of its runtime makes a new pool.
pub(crate) struct Pool {
    /// The environment's namespace and name.
    pub(crate) key: ObjectKey,
    /// See [`runtime_of`].
    pub(crate) runtime: u64,
    policy: Weak<Policy>,
    prepared: tokio::sync::Mutex<bool>,
    state: Mutex<State>,
}

struct State {
    environment: Arc<Environment>,
    target: usize,
    ready: VecDeque<Arc<Instance>>,
    takers: VecDeque<oneshot::Sender<Result<Generic, BackendError>>>,
    creating: usize,
    closed: bool,
    warm: bool,
    /// Whether an instance of it has worked since it last failed.
    proven: bool,
    failures: u32,
    retry_at: Option<Instant>,
    last_error: Option<BackendError>,
    /// The last trouble in words, so that it is told once.
    told: Option<String>,
    refill_scheduled: bool,
}

/// One creation under way. Dropping it says that it ended.
struct Creating(Arc<Pool>);

impl Drop for Creating {
    fn drop(&mut self) {
        self.0.state().creating -= 1;
    }
}

/// An instance being made. Dropped when nobody waits for it any more: the backend ends it by itself.
struct Starting<'a>(&'a Policy, &'a Instance);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.register.remove(&self.1.id);
    }
}

impl Pool {
    /// An empty pool; [`Self::refill`] fills it.
    pub(crate) fn new(policy: Weak<Policy>, environment: Arc<Environment>) -> Arc<Self> {
        let target = count(environment.spec.pool_size());
        Arc::new(Self {
            key: ObjectKey::of(environment.as_ref()),
            runtime: runtime_of(&environment),
            policy,
            prepared: tokio::sync::Mutex::new(false),
            state: Mutex::new(State {
                environment,
                target,
                ready: VecDeque::new(),
                takers: VecDeque::new(),
                creating: 0,
                closed: false,
                // A pool that keeps nothing has nothing to wait for.
                warm: target == 0,
                proven: false,
                failures: 0,
                retry_at: None,
                last_error: None,
                told: None,
                refill_scheduled: false,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The environment as last seen.
    pub(crate) fn environment(&self) -> Arc<Environment> {
        self.state().environment.clone()
    }

    /// Whether it has made an instance since it exists, so that instances of an older runtime can go.
    pub(crate) fn is_warm(&self) -> bool {
        self.state().warm
    }

    /// Takes over a changed environment of the same runtime: only the pool size can differ.
    pub(crate) fn resize(self: &Arc<Self>, environment: Arc<Environment>) {
        let excess = {
            let mut state = self.state();
            state.target = count(environment.spec.pool_size());
            state.environment = environment;
            let keep = state.target.min(state.ready.len());
            state.ready.split_off(keep)
        };
        self.destroy(excess);
        self.refill();
    }

    /// Ends all generic instances and takes no more; takers are told to look for the pool's successor.
    pub(crate) fn close(&self) {
        let (ready, takers) = {
            let mut state = self.state();
            state.closed = true;
            (std::mem::take(&mut state.ready), std::mem::take(&mut state.takers))
        };
        for taker in takers {
            drop(taker.send(Err(self.gone())));
        }
        self.destroy(ready);
    }

    fn gone(&self) -> BackendError {
        BackendError::Broken {
            instance: InstanceId("generic".into()),
            why: format!("was not made: environment {} changed meanwhile", self.key),
        }
    }

    fn destroy(&self, instances: impl IntoIterator<Item = Arc<Instance>>) {
        if let Some(policy) = self.policy.upgrade() {
            for instance in instances {
                policy.destroy(instance);
            }
        }
    }

    /// Takes a generic instance, the oldest one ready, or the next one made. Dropping the future leaves the queue.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Generic, BackendError> {
        let receiver = {
            let mut state = self.state();
            if state.closed {
                return Err(self.gone());
            }
            if let Some(instance) = state.ready.pop_front() {
                drop(state);
                let pause = self.policy.upgrade().map(|policy| policy.options.refill_pause).unwrap_or_default();
                self.refill_after(pause);
                return Ok(Generic { pool: self.clone(), instance: Some(instance) });
            }
            if state.failures >= CRASH_LOOP
                && state.retry_at.is_some_and(|at| at > Instant::now())
                && let Some(error) = &state.last_error
            {
                return Err(error.clone());
            }
            let (sender, receiver) = oneshot::channel();
            state.takers.push_back(sender);
            receiver
        };
        self.refill();
        receiver.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Gives an instance to the oldest taker, or keeps it if there is room.
    fn offer(self: Arc<Self>, instance: Arc<Instance>) {
        let mut state = self.state();
        // Under the lock: an instance that ends from now on is found in `ready` by `lost`.
        if instance.phase() == Phase::Failed {
            return;
        }
        let taker = loop {
            match state.takers.pop_front() {
                Some(taker) if taker.is_closed() => {}
                taker => break taker,
            }
        };
        if let Some(taker) = taker {
            drop(state);
            // A taker that just went away drops it, which comes back here.
            drop(taker.send(Ok(Generic { pool: self.clone(), instance: Some(instance) })));
        } else if state.closed || state.ready.len() >= state.target {
            drop(state);
            self.destroy([instance]);
        } else {
            state.ready.push_back(instance);
        }
    }

    /// Starts making what takers and the target lack.
    pub(crate) fn refill(self: &Arc<Self>) {
        let Some(policy) = self.policy.upgrade() else { return };
        let mut state = self.state();
        if state.closed || (policy.stopping.is_cancelled() && state.takers.is_empty()) {
            return;
        }
        state.takers.retain(|taker| !taker.is_closed());
        let lacking = state.target.saturating_sub(state.ready.len());
        let pause =
            state.retry_at.map(|at| at.saturating_duration_since(Instant::now())).filter(|pause| !pause.is_zero());
        let refill = if pause.is_some() { 0 } else { lacking.min(policy.options.refill_concurrency) };
        let start = (state.takers.len() + refill).saturating_sub(state.creating);
        state.creating += start;
        drop(state);
        for _ in 0..start {
            let creating = Creating(self.clone());
            policy.tasks.spawn(async move { creating.0.clone().create(creating).await });
        }
        if let Some(pause) = pause
            && lacking > 0
        {
            self.refill_after(pause);
        }
    }

    /// Refills after a pause, once however often it is asked.
    fn refill_after(self: &Arc<Self>, pause: Duration) {
        let Some(policy) = self.policy.upgrade() else { return };
        if std::mem::replace(&mut self.state().refill_scheduled, true) {
            return;
        }
        let pool = self.clone();
        let stopping = policy.stopping.clone();
        policy.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopping.cancelled() => {}
            }
            pool.state().refill_scheduled = false;
            pool.refill();
        });
    }

    async fn create(self: Arc<Self>, creating: Creating) {
        let made = self.make(None, || self.state().takers.iter().any(|taker| !taker.is_closed())).await;
        drop(creating);
        match made {
            Ok(Some(instance)) => {
                self.warmed();
                self.clone().offer(instance);
                self.refill();
            }
            Ok(None) => {} // no room on the machine, and nobody waits; the reaper's tick tries again
            Err(error) => self.failed(error),
        }
    }

    fn warmed(&self) {
        if !std::mem::replace(&mut self.state().warm, true)
            && let Some(policy) = self.policy.upgrade()
        {
            policy.recycle_outdated();
        }
    }

    /// Makes one instance: generic, or for one function from the start. `wanted` says whether it is worth waiting for
    /// room on the machine; without room and want, there is none.
    pub(crate) async fn make(
        &self,
        function: Option<Arc<Function>>,
        wanted: impl Fn() -> bool,
    ) -> Result<Option<Arc<Instance>>, BackendError> {
        let Some(policy) = self.policy.upgrade() else { return Ok(None) };
        let environment = self.environment();
        {
            let mut prepared = self.prepared.lock().await;
            if !*prepared {
                policy.backend.prepare(&environment).await?;
                *prepared = true;
            }
        }
        let Some((slot, _making)) = room::enter(&policy, wanted).await else { return Ok(None) };
        let Ok(_turn) = policy.turns.acquire().await else { return Ok(None) };
        let instance = Instance::new(environment.clone(), self.runtime, function.clone(), slot);
        policy.register.insert(instance.clone());
        let starting = Starting(&policy, &instance);
        let spec = InstanceSpec { id: instance.id.clone(), environment, function };
        let limit = policy.options.create_timeout;
        let broken = |why: String| BackendError::Broken { instance: instance.id.clone(), why };
        let created = tokio::select! {
            created = policy.backend.create(spec) => created,
            () = tokio::time::sleep(limit) => Err(broken(format!("was not ready within {} s", limit.as_secs()))),
            () = policy.ending.cancelled() => Err(broken("was given up: the platform is shutting down".to_owned())),
        };
        std::mem::forget(starting);
        match created {
            Ok(created) => {
                if !instance.ready(created) {
                    return Err(broken("ended at once".to_owned()));
                }
                policy.register.changed();
                Ok(Some(instance))
            }
            Err(error) => {
                policy.register.fail(&instance.id, &error.to_string());
                Err(error)
            }
        }
    }

    /// Counts a failure, tells the takers it concerns, and slows down.
    fn failed(self: &Arc<Self>, error: BackendError) {
        let unsupported = matches!(error, BackendError::Unsupported { .. });
        let takers: Vec<_> = {
            let mut state = self.state();
            // What cannot work for one taker cannot work for any.
            let told = if unsupported { state.takers.len() } else { state.takers.len().min(1) };
            state.takers.drain(..told).collect()
        };
        self.count_failure(error.clone(), unsupported);
        for taker in takers {
            drop(taker.send(Err(error.clone())));
        }
        self.refill();
    }

    fn count_failure(&self, error: BackendError, unsupported: bool) {
        // Without the instance's id, so that the same trouble reads the same each time.
        let told = match &error {
            BackendError::Broken { why, .. } => format!("an instance {why}"),
            other => other.to_string(),
        };
        let (failures, known) = {
            let mut state = self.state();
            let known = state.told.as_ref() == Some(&told);
            state.told = Some(told.clone());
            state.failures =
                if unsupported { state.failures.max(CRASH_LOOP) } else { state.failures.saturating_add(1) };
            let pause = PAUSE.saturating_mul(1 << (state.failures - 1).min(16)).min(PAUSE_MAX);
            state.retry_at = Some(Instant::now() + if unsupported { UNSUPPORTED_PAUSE } else { pause });
            state.last_error = Some(error);
            (state.failures, known)
        };
        if !known {
            tracing::warn!(environment = %self.key, why = %told, "an instance could not be made or ended by itself");
        }
        if (failures == CRASH_LOOP || !known)
            && failures >= CRASH_LOOP
            && let Some(policy) = self.policy.upgrade()
        {
            policy.conditions.environment_failed(&self.environment(), unsupported, &told);
        }
    }

    /// A generic instance ended by itself.
    pub(crate) fn lost(self: &Arc<Self>, instance: &Instance, why: &str) {
        {
            let mut state = self.state();
            state.ready.retain(|other| other.id != instance.id);
            if instance.born.elapsed() >= STABLE {
                state.failures = 0;
            }
        }
        self.count_failure(BackendError::Broken { instance: instance.id.clone(), why: why.to_owned() }, false);
        self.refill();
    }

    /// An instance of this pool was loaded, or has lived long enough: earlier failures are over.
    pub(crate) fn proven(&self) {
        let environment = {
            let mut state = self.state();
            if state.proven && state.failures == 0 {
                return;
            }
            state.proven = true;
            state.failures = 0;
            state.retry_at = None;
            state.last_error = None;
            state.told = None;
            state.environment.clone()
        };
        if let Some(policy) = self.policy.upgrade() {
            policy.conditions.environment_works(&environment);
        }
    }

    /// What the reaper's tick does: forgets failures that are over, and refills if that was not possible before.
    pub(crate) fn tick(self: &Arc<Self>) {
        let stable = {
            let state = self.state();
            state.failures > 0 && state.ready.front().is_some_and(|oldest| oldest.born.elapsed() >= STABLE)
        };
        if stable {
            self.proven();
        }
        self.refill();
    }

    /// Gives up one ready instance, for the sake of another environment. Returns whether there was one.
    pub(crate) fn give_up_one(&self) -> bool {
        let given = self.state().ready.pop_back();
        let had = given.is_some();
        self.destroy(given);
        had
    }

    /// Ready instances.
    pub(crate) fn ready(&self) -> usize {
        self.state().ready.len()
    }
}
