//! One instance, and the register of all of them that the API server shows as pods.
//!
//! An instance's state changes under its own lock and only forward: starting, generic, specializing, specialized,
//! draining; or failed from anywhere. Whoever learns that an instance ended calls [`Register::fail`] or
//! [`Register::remove`]; the first caller wins and the others find nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use fission_api::{Environment, Function};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::{Endpoint, InstanceId};
use fission_rpc::instances::{InstanceFunction, InstanceInfo, Phase};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backend::Created;
use crate::group::Group;

/// Longest part of an environment's or function's name in an instance id, so that the id stays a DNS label.
const NAME_IN_ID: usize = 40;
/// Random characters at the end of an id: 36^8 ids make a repeat improbable.
const RANDOM_IN_ID: usize = 8;

/// What identifies the content of a package.
pub(crate) type PackageVersion = (String, i64);

/// What a specialized instance serves.
#[derive(Clone)]
pub(crate) struct Loaded {
    /// The function generation it belongs to.
    pub(crate) group: Weak<Group>,
    /// Its endpoint.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Uid and generation of the package it was loaded from.
    pub(crate) package: PackageVersion,
    /// Identifies the configuration it was given.
    pub(crate) configuration: u64,
    /// When its specialization began.
    pub(crate) began: Instant,
    /// When its specialization ended.
    pub(crate) ended: Instant,
}

/// One running copy of an environment.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) environment: Arc<Environment>,
    /// Identifies what it was made from; see [`crate::pool::runtime_of`].
    pub(crate) runtime: u64,
    pub(crate) executor_type: &'static str,
    pub(crate) born: Instant,
    /// Cancelled when it shall end, so that whoever attends it starts counting the drain deadline.
    pub(crate) closing: CancellationToken,
    created: Timestamp,
    suspect: AtomicBool,
    provisioned: AtomicBool,
    /// Cancelled once it is gone.
    gone: CancellationToken,
    state: Mutex<State>,
}

/// A connection breaks before it is known that the process behind it ended, and how: that takes milliseconds, and on a busy
/// machine some more.
const LAST_WORDS: Duration = Duration::from_millis(250);

struct State {
    phase: Phase,
    made: Option<Created>,
    function: Option<Arc<Function>>,
    loaded: Option<Loaded>,
    slot: Option<OwnedSemaphorePermit>,
    ended: Option<String>,
}

impl Instance {
    /// An instance that is about to be made. It holds one of the machine's slots until it is gone.
    pub(crate) fn new(
        environment: Arc<Environment>,
        runtime: u64,
        function: Option<Arc<Function>>,
        slot: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        let named_after = match &function {
            Some(function) => function.metadata.name.as_deref(),
            None => environment.metadata.name.as_deref(),
        };
        let id = new_id(executor_type(function.as_ref()), named_after.unwrap_or_default());
        Self::with_id(id, environment, runtime, function, slot)
    }

    /// An instance that is there already, or is about to be.
    pub(crate) fn with_id(
        id: InstanceId,
        environment: Arc<Environment>,
        runtime: u64,
        function: Option<Arc<Function>>,
        slot: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            environment,
            runtime,
            executor_type: executor_type(function.as_ref()),
            born: Instant::now(),
            closing: CancellationToken::new(),
            created: Timestamp::now(),
            suspect: AtomicBool::new(false),
            provisioned: AtomicBool::new(false),
            gone: CancellationToken::new(),
            state: Mutex::new(State {
                phase: Phase::Starting,
                made: None,
                function,
                loaded: None,
                slot: Some(slot),
                ended: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It said it is ready. False if it has ended meanwhile.
    pub(crate) fn ready(&self, created: Created) -> bool {
        let mut state = self.state();
        state.made = Some(created);
        forward(&mut state, Phase::Generic)
    }

    /// It is being loaded with a function. False if it has ended meanwhile.
    /// What it is not isolated by, each with the reason.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.state().made.as_ref().map(|made| made.missing.clone()).unwrap_or_default()
    }

    pub(crate) fn specializing(&self, function: Arc<Function>) -> bool {
        let mut state = self.state();
        state.function = Some(function);
        forward(&mut state, Phase::Specializing)
    }

    /// It serves its function. False if it has ended meanwhile.
    pub(crate) fn specialized(&self, loaded: Loaded) -> bool {
        let mut state = self.state();
        if let Some(made) = &mut state.made {
            made.address = loaded.endpoint.address.clone();
        }
        state.loaded = Some(loaded);
        forward(&mut state, Phase::Specialized)
    }

    /// It serves its last requests.
    pub(crate) fn draining(&self) {
        forward(&mut self.state(), Phase::Draining);
        self.closing.cancel();
    }

    /// It refused a connection or broke: nobody waits for what it still does.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::suspect`] was called.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// Whether it is kept although nobody calls it.
    pub(crate) fn is_provisioned(&self) -> bool {
        self.provisioned.load(Ordering::Relaxed)
    }

    /// From now on it is kept, or no longer.
    pub(crate) fn set_provisioned(&self, provisioned: bool) {
        self.provisioned.store(provisioned, Ordering::Relaxed);
    }

    /// How it ended by itself; the news of that is waited for a moment.
    pub(crate) async fn last_words(&self) -> Option<String> {
        let _ = tokio::time::timeout(LAST_WORDS, self.gone.cancelled()).await;
        self.state().ended.clone()
    }

    /// What it serves, once specialized.
    pub(crate) fn loaded(&self) -> Option<Loaded> {
        self.state().loaded.clone()
    }

    /// Where it stands.
    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Longest time it may take to end when asked.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.environment.spec.grace_seconds()).unwrap_or(0))
    }

    fn end(&self, why: Option<String>) {
        let mut state = self.state();
        state.slot = None;
        if why.is_some() {
            state.phase = Phase::Failed;
            state.ended = why;
        }
        self.gone.cancel();
    }

    fn info(&self) -> InstanceInfo {
        let environment = ObjectKey::of(self.environment.as_ref());
        let state = self.state();
        InstanceInfo {
            id: self.id.clone(),
            namespace: environment.namespace,
            phase: state.phase,
            executor_type: self.executor_type,
            environment: environment.name,
            environment_uid: self.environment.metadata.uid.clone().unwrap_or_default(),
            image: self.environment.spec.runtime.image.clone(),
            function: state.function.as_ref().map(|function| InstanceFunction {
                name: function.metadata.name.clone().unwrap_or_default(),
                namespace: function.metadata.namespace.clone().unwrap_or_default(),
                uid: function.metadata.uid.clone().unwrap_or_default(),
                generation: function.metadata.generation.unwrap_or_default(),
            }),
            address: state.made.as_ref().map(|made| made.address.clone()),
            pid: state.made.as_ref().and_then(|made| made.pid),
            created: self.created,
            served: state.loaded.as_ref().map(|loaded| loaded.endpoint.served()).unwrap_or_default(),
            ended: state.ended.clone(),
            isolation: state.made.as_ref().map(|made| made.isolation.clone()).unwrap_or_default(),
            missing: state.made.as_ref().map(|made| made.missing.clone()).unwrap_or_default(),
        }
    }
}

/// The strategy that makes it: one made for a function from the start is not a pool's.
fn executor_type(function: Option<&Arc<Function>>) -> &'static str {
    if function.is_some() { "newdeploy" } else { "poolmgr" }
}

fn forward(state: &mut State, to: Phase) -> bool {
    if state.phase == Phase::Failed {
        return false;
    }
    state.phase = to;
    true
}

fn new_id(executor_type: &str, named_after: &str) -> InstanceId {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = rand::random::<u64>();
    let mut suffix = String::with_capacity(RANDOM_IN_ID);
    for _ in 0..RANDOM_IN_ID {
        suffix.push(char::from(ALPHABET[usize::try_from(random % 36).unwrap_or_default()]));
        random /= 36;
    }
    let name: String = named_after.chars().filter(char::is_ascii).take(NAME_IN_ID).collect();
    InstanceId(format!("{executor_type}-{}-{suffix}", name.trim_end_matches(['-', '.'])).into())
}

/// All instances, and for a while those that ended by themselves.
pub(crate) struct Register {
    instances: Mutex<HashMap<InstanceId, Arc<Instance>>>,
    failed: Mutex<VecDeque<(Instant, InstanceInfo)>>,
    failed_kept: usize,
    changes: watch::Sender<u64>,
}

impl Register {
    /// An empty register that shows at most `failed_kept` ended instances.
    pub(crate) fn new(failed_kept: usize) -> Self {
        Self { instances: Mutex::default(), failed: Mutex::default(), failed_kept, changes: watch::Sender::new(0) }
    }

    fn instances(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, VecDeque<(Instant, InstanceInfo)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells watchers that something changed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Puts an instance in.
    pub(crate) fn insert(&self, instance: Arc<Instance>) {
        self.instances().insert(instance.id.clone(), instance);
        self.changed();
    }

    /// Takes an instance out that was ended on purpose, and frees its slot. None if someone else did.
    pub(crate) fn remove(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        let instance = self.instances().remove(id)?;
        instance.end(None);
        self.changed();
        Some(instance)
    }

    /// Takes an instance out that ended by itself, frees its slot, and keeps it to be shown. None if it is not here.
    pub(crate) fn fail(&self, id: &InstanceId, why: &str) -> Option<Arc<Instance>> {
        let instance = self.instances().remove(id)?;
        instance.end(Some(why.to_owned()));
        let mut failed = self.failed();
        failed.push_back((Instant::now(), instance.info()));
        while failed.len() > self.failed_kept {
            failed.pop_front();
        }
        drop(failed);
        self.changed();
        Some(instance)
    }

    /// How an instance ended by itself, as long as that is shown.
    pub(crate) fn why_failed(&self, id: &InstanceId) -> Option<String> {
        let failed = self.failed();
        failed.iter().rev().find(|(_, info)| info.id == *id).and_then(|(_, info)| info.ended.clone())
    }

    /// Forgets ended instances older than `age`.
    pub(crate) fn forget_failed(&self, age: Duration) {
        let mut failed = self.failed();
        let before = failed.len();
        failed.retain(|(at, _)| at.elapsed() < age);
        if failed.len() != before {
            drop(failed);
            self.changed();
        }
    }

    /// One living instance.
    pub(crate) fn get(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        self.instances().get(id).cloned()
    }

    /// All living instances.
    pub(crate) fn living(&self) -> Vec<Arc<Instance>> {
        self.instances().values().cloned().collect()
    }

    /// Everything people can see.
    pub(crate) fn list(&self) -> Vec<InstanceInfo> {
        let mut all: Vec<InstanceInfo> = self.living().iter().map(|instance| instance.info()).collect();
        all.extend(self.failed().iter().map(|(_, info)| info.clone()));
        all.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Grows with every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
