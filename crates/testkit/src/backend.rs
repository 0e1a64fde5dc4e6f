//! A backend whose instances do what a test says, and which remembers what it was asked.
//!
//! By default instances have an address and nothing behind it, so that tests can run on paused time. With
//! [`ScriptedBackend::serving`] each is a small HTTP server on a unix socket, see `server`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::Environment;
use fission_executor::backend::{Adopted, Backend, BackendError, Created, InstanceExit, InstanceSpec, Load};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::{Address, InstanceId};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::server;

/// One thing the backend was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Prepare an environment.
    Prepare(String),
    /// Make an instance.
    Create(InstanceId),
    /// Load a function, by name and generation, from a file of this name.
    Specialize(InstanceId, String, i64, String),
    /// Show that an instance is kept, or no longer.
    Provisioned(InstanceId, bool),
    /// Hide an instance from routers.
    Withdraw(InstanceId),
    /// End an instance.
    Destroy(InstanceId),
}

/// Decides whether an instance can be made.
pub type OnCreate = Box<dyn Fn(&InstanceSpec) -> Option<BackendError> + Send + Sync>;
/// Decides whether a function can be loaded.
pub type OnSpecialize = Box<dyn Fn(&InstanceId, &Load) -> Option<BackendError> + Send + Sync>;

/// See the module.
pub struct ScriptedBackend {
    script: Mutex<Script>,
    living: Mutex<HashMap<InstanceId, Option<JoinHandle<()>>>>,
    calls: Mutex<Vec<Call>>,
    most: Mutex<usize>,
    exits: mpsc::UnboundedSender<InstanceExit>,
    exits_receiver: Mutex<Option<mpsc::UnboundedReceiver<InstanceExit>>>,
    /// Where the sockets are, when instances serve.
    sockets: Option<TempDir>,
    /// Whether instances outlive the process, and what an earlier one left.
    outlives: bool,
    left: Mutex<Vec<Adopted>>,
}

#[derive(Default)]
struct Script {
    prepare_delay: Duration,
    create_delay: Duration,
    specialize_delay: Duration,
    destroy_delay: Duration,
    unsupported: Option<String>,
    on_create: Option<OnCreate>,
    on_specialize: Option<OnSpecialize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ScriptedBackend {
    /// Instances with nothing behind their address.
    pub fn new() -> Arc<Self> {
        Self::made(None, false)
    }

    /// Instances that outlive the process and have network addresses, as pods do.
    pub fn outliving() -> Arc<Self> {
        Self::made(None, true)
    }

    /// An earlier process left this instance, which lives.
    pub fn leave(&self, instance: Adopted) {
        lock(&self.living).insert(instance.id.clone(), None);
        lock(&self.left).push(instance);
    }

    /// Instances that serve HTTP on unix sockets.
    ///
    /// # Errors
    /// When no folder for the sockets can be made.
    pub fn serving() -> std::io::Result<Arc<Self>> {
        Ok(Self::made(Some(TempDir::with_prefix("fsn")?), false))
    }

    fn made(sockets: Option<TempDir>, outlives: bool) -> Arc<Self> {
        let (exits, receiver) = mpsc::unbounded_channel();
        Arc::new(Self {
            script: Mutex::default(),
            living: Mutex::default(),
            calls: Mutex::default(),
            most: Mutex::default(),
            exits,
            exits_receiver: Mutex::new(Some(receiver)),
            sockets,
            outlives,
            left: Mutex::default(),
        })
    }

    /// From now on preparing an environment takes this long.
    pub fn set_prepare_delay(&self, delay: Duration) {
        lock(&self.script).prepare_delay = delay;
    }

    /// From now on making an instance takes this long.
    pub fn set_create_delay(&self, delay: Duration) {
        lock(&self.script).create_delay = delay;
    }

    /// From now on loading a function takes this long.
    pub fn set_specialize_delay(&self, delay: Duration) {
        lock(&self.script).specialize_delay = delay;
    }

    /// From now on ending an instance takes this long.
    pub fn set_destroy_delay(&self, delay: Duration) {
        lock(&self.script).destroy_delay = delay;
    }

    /// From now on no environment can run here, or all can again.
    pub fn set_unsupported(&self, why: Option<&str>) {
        lock(&self.script).unsupported = why.map(str::to_owned);
    }

    /// From now on this decides whether an instance can be made.
    pub fn on_create(&self, decide: impl Fn(&InstanceSpec) -> Option<BackendError> + Send + Sync + 'static) {
        lock(&self.script).on_create = Some(Box::new(decide));
    }

    /// From now on this decides whether a function can be loaded.
    pub fn on_specialize(&self, decide: impl Fn(&InstanceId, &Load) -> Option<BackendError> + Send + Sync + 'static) {
        lock(&self.script).on_specialize = Some(Box::new(decide));
    }

    /// Ends an instance as if it had crashed. False if it does not live.
    pub fn crash(&self, id: &InstanceId, why: &str) -> bool {
        let Some(server) = lock(&self.living).remove(id) else { return false };
        if let Some(server) = server {
            server.abort();
        }
        let _ = self.exits.send(InstanceExit { id: id.clone(), why: why.to_owned() });
        true
    }

    /// What it was asked, in order.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// How many calls `which` picks.
    pub fn count(&self, which: impl Fn(&Call) -> bool) -> usize {
        lock(&self.calls).iter().filter(|call| which(call)).count()
    }

    /// Instances that were made and not ended.
    pub fn living(&self) -> Vec<InstanceId> {
        lock(&self.living).keys().cloned().collect()
    }

    /// The most instances that ever lived at once.
    pub fn most_living(&self) -> usize {
        *lock(&self.most)
    }

    fn note(&self, call: Call) {
        lock(&self.calls).push(call);
    }

    fn address(&self, id: &InstanceId) -> Address {
        if self.outlives {
            // Each its own, as pods have.
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            let [_, _, _, _, _, b, c, d] = hasher.finish().to_be_bytes();
            return Address::Tcp(([127, b, c, d], 8888).into());
        }
        let folder = self.sockets.as_ref().map_or_else(|| PathBuf::from("/nowhere"), |folder| folder.path().to_owned());
        // Socket paths are short; the end of an id is its random part.
        let name = id.0.rsplit('-').next().unwrap_or_default().to_owned();
        Address::Unix(folder.join(name))
    }
}

#[async_trait]
impl Backend for ScriptedBackend {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn prepare(&self, environment: &Environment) -> Result<(), BackendError> {
        let environment = ObjectKey::of(environment).to_string();
        self.note(Call::Prepare(environment.clone()));
        let delay = lock(&self.script).prepare_delay;
        crate::pause(delay).await;
        match lock(&self.script).unsupported.clone() {
            Some(why) => Err(BackendError::Unsupported { environment, why }),
            None => Ok(()),
        }
    }

    async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError> {
        self.note(Call::Create(spec.id.clone()));
        let delay = lock(&self.script).create_delay;
        crate::pause(delay).await;
        if let Some(error) = lock(&self.script).on_create.as_ref().and_then(|decide| decide(&spec)) {
            return Err(error);
        }
        let address = self.address(&spec.id);
        let server = match (&self.sockets, &address) {
            (Some(_), Address::Unix(path)) => Some(server::start(path, spec.id.clone()).map_err(|error| {
                BackendError::Broken { instance: spec.id.clone(), why: format!("could not listen: {error}") }
            })?),
            _ => None,
        };
        let mut living = lock(&self.living);
        living.insert(spec.id, server);
        let mut most = lock(&self.most);
        *most = living.len().max(*most);
        Ok(Created { address, pid: None, isolation: vec!["none".to_owned()], missing: Vec::new() })
    }

    async fn specialize(&self, id: &InstanceId, load: Load) -> Result<Address, BackendError> {
        self.note(Call::Specialize(
            id.clone(),
            load.function.metadata.name.clone().unwrap_or_default(),
            load.function.metadata.generation.unwrap_or_default(),
            load.filename.clone(),
        ));
        let delay = lock(&self.script).specialize_delay;
        crate::pause(delay).await;
        if let Some(error) = lock(&self.script).on_specialize.as_ref().and_then(|decide| decide(id, &load)) {
            return Err(error);
        }
        if lock(&self.living).contains_key(id) {
            Ok(self.address(id))
        } else {
            Err(BackendError::Broken { instance: id.clone(), why: "is gone".to_owned() })
        }
    }

    async fn destroy(&self, id: &InstanceId, _grace: Duration) {
        self.note(Call::Destroy(id.clone()));
        let delay = lock(&self.script).destroy_delay;
        crate::pause(delay).await;
        if let Some(Some(server)) = lock(&self.living).remove(id) {
            server.abort();
        }
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit> {
        // Asked a second time, there is nothing more to hear: a closed channel.
        lock(&self.exits_receiver).take().unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    fn outlives(&self) -> bool {
        self.outlives
    }

    async fn adopt(&self) -> Vec<Adopted> {
        lock(&self.left).clone()
    }

    async fn withdraw(&self, id: &InstanceId) {
        self.note(Call::Withdraw(id.clone()));
    }

    async fn provisioned(&self, id: &InstanceId, provisioned: bool) {
        self.note(Call::Provisioned(id.clone(), provisioned));
    }
}
