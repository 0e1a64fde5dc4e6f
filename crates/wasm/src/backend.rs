//! The backend: what the executor asks for, done inside this process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::Environment;
use fission_executor::backend::{Backend, BackendError, Created, InstanceExit, InstanceSpec, Load};
use fission_rpc::endpoint::{Address, InstanceId};
use fission_rpc::local::Local;
use fission_rpc::logs::{LogOwner, LogSink};
use tokio::sync::mpsc;

use crate::artifacts::{Artifacts, Unusable, private};
use crate::failures::Names;
use crate::guest::Given;
use crate::instance::{Door, Files, Instance, Vacant};
use crate::machine::Machine;
use crate::options::{Options, WasmError};
use crate::outgoing::Clients;
use crate::outputs::Outputs;
use crate::{load, lock, resources};

/// Runs WebAssembly components in this process.
pub struct WasmBackend {
    options: Options,
    machine: Arc<Machine>,
    artifacts: Artifacts,
    clients: Arc<Clients>,
    sink: Arc<dyn LogSink>,
    /// Where secrets and config maps of instances are.
    files: PathBuf,
    next: AtomicU64,
    vacant: Local,
    instances: Mutex<HashMap<InstanceId, Slot>>,
    /// Nothing is ever sent: an instance does not end by itself, only a request fails.
    exits: mpsc::UnboundedSender<InstanceExit>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<InstanceExit>>>,
}

/// An instance the executor knows.
enum Slot {
    Generic(Arc<Environment>),
    Loaded(Arc<Instance>),
}

impl WasmBackend {
    /// Starts the engine and removes what a former process left behind.
    pub fn new(options: Options, sink: Arc<dyn LogSink>) -> Result<Self, WasmError> {
        let machine = Arc::new(Machine::new(&options)?);
        let artifacts = Artifacts::open(&options, machine.clone())?;
        let files = options.data_dir.join("wasm");
        let _ = std::fs::remove_dir_all(&files);
        private(&files).map_err(|error| WasmError::Folder { path: files.clone(), why: error.to_string() })?;
        let (exits, receiver) = mpsc::unbounded_channel();
        Ok(Self {
            options,
            machine,
            artifacts,
            clients: Arc::default(),
            sink,
            files,
            next: AtomicU64::new(1),
            vacant: Local(Arc::new(Vacant)),
            instances: Mutex::default(),
            exits,
            receiver: Mutex::new(Some(receiver)),
        })
    }

    async fn load(
        &self,
        id: &InstanceId,
        environment: &Environment,
        given: Load,
    ) -> Result<Arc<Instance>, BackendError> {
        let program = load::program(&given).map_err(refused)?;
        let wishes = load::wishes(given.function.metadata.annotations.as_ref()).map_err(refused)?;
        let memory = resources::memory(Some(environment), &given.function, self.options.memory).map_err(refused)?;
        let variables = load::variables(environment, &given.configuration.env).map_err(refused)?;
        let loaded = self.artifacts.get(&program.key, &program.file).await.map_err(|error| match error {
            Unusable::Code(why) => refused(format!("{} {why}", program.name)),
            Unusable::Machine(why) => broken(id, format!("cannot have its code: {} {why}", program.name)),
        })?;
        let reuse = load::reuse(wishes.reuse, loaded.requests_per_store);
        let files = self.place(id, &given).await?;
        let meta = &given.function.metadata;
        let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        let names =
            Names { function: format!("{namespace}/{name}"), short: name.clone(), max_stores: self.options.max_stores };
        let owner = LogOwner {
            namespace,
            function: name,
            instance: id.to_string(),
            environment: environment.metadata.name.clone().unwrap_or_default(),
        };
        let stores = Given {
            variables,
            folders: load::folders(&program, &given.configuration, files.as_ref()),
            hosts: Arc::new(wishes.hosts),
            clients: self.clients.clone(),
            memory,
            outputs: Outputs::new(self.sink.clone(), owner),
        };
        let instance = Instance::new(names, self.machine.clone(), loaded, stores, reuse, files);
        instance.begin().await.map_err(|refusal| match refusal.status {
            503 => broken(id, refusal.message),
            _ => refused(refusal.message),
        })?;
        Ok(instance)
    }

    async fn place(&self, id: &InstanceId, given: &Load) -> Result<Option<Files>, BackendError> {
        if given.configuration.files.is_empty() {
            return Ok(None);
        }
        let at = self.files.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let files = given.configuration.files.clone();
        let placed = tokio::task::spawn_blocking(move || load::place(&files, at)).await;
        placed.unwrap_or_else(|error| Err(error.to_string())).map(Some).map_err(|why| broken(id, why))
    }
}

#[async_trait]
impl Backend for WasmBackend {
    fn name(&self) -> &'static str {
        "wasm"
    }

    async fn prepare(&self, environment: &Environment) -> Result<(), BackendError> {
        load::variables(environment, &Default::default()).map(drop).map_err(|why| {
            let meta = &environment.metadata;
            let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref());
            BackendError::Unsupported { environment: format!("{namespace}/{}", name.unwrap_or_default()), why }
        })
    }

    async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError> {
        lock(&self.instances).insert(spec.id, Slot::Generic(spec.environment));
        let isolation = vec!["wasm".to_owned()];
        Ok(Created { address: Address::Local(self.vacant.clone()), pid: None, isolation, missing: Vec::new() })
    }

    async fn specialize(&self, id: &InstanceId, load: Load) -> Result<Address, BackendError> {
        let environment = match lock(&self.instances).get(id) {
            Some(Slot::Generic(environment)) => environment.clone(),
            Some(Slot::Loaded(_)) => return Err(broken(id, "has a function already")),
            None => return Err(broken(id, "is gone")),
        };
        let timeout = load.timeout;
        let loaded = tokio::time::timeout(timeout, self.load(id, &environment, load)).await;
        let instance =
            loaded.map_err(|_| BackendError::TimedOut { instance: id.clone(), seconds: timeout.as_secs() })??;
        match lock(&self.instances).get_mut(id) {
            Some(slot) => *slot = Slot::Loaded(instance.clone()),
            None => return Err(broken(id, "is gone")),
        }
        Ok(Address::Local(Local(Arc::new(Door(instance)))))
    }

    async fn destroy(&self, id: &InstanceId, grace: Duration) {
        let slot = lock(&self.instances).remove(id);
        if let Some(Slot::Loaded(instance)) = slot {
            instance.end(grace).await;
        }
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit> {
        debug_assert!(!self.exits.is_closed(), "exits are taken once");
        // A second taker hears nothing, as the first.
        lock(&self.receiver).take().unwrap_or_else(|| mpsc::unbounded_channel().1)
    }
}

fn refused(message: String) -> BackendError {
    BackendError::Refused { status: 500, message }
}

fn broken(id: &InstanceId, why: impl Into<String>) -> BackendError {
    BackendError::Broken { instance: id.clone(), why: why.into() }
}
