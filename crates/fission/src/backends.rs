//! The backends of one machine as one: processes, and WebAssembly for the environments that are of that kind.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use fission_api::Environment;
use fission_environments::Environments;
use fission_executor::backend::{Backend, BackendError, Created, InstanceExit, InstanceSpec, Load};
use fission_logs::LogStore;
use fission_rpc::endpoint::{Address, InstanceId};
use tokio::sync::mpsc;

/// Gives every instance to the backend of its environment.
pub(crate) struct Backends {
    environments: Arc<Environments>,
    processes: Arc<dyn Backend>,
    wasm: Arc<dyn Backend>,
    /// The instances of the second.
    of_wasm: Mutex<HashSet<InstanceId>>,
}

impl Backends {
    pub(crate) fn new(environments: Arc<Environments>, processes: Arc<dyn Backend>, wasm: Arc<dyn Backend>) -> Self {
        Self { environments, processes, wasm, of_wasm: Mutex::default() }
    }

    fn for_environment(&self, environment: &Environment) -> &Arc<dyn Backend> {
        let is_wasm = self.environments.is_wasm(&environment.spec.runtime.image);
        if is_wasm { &self.wasm } else { &self.processes }
    }

    fn of_wasm(&self) -> MutexGuard<'_, HashSet<InstanceId>> {
        self.of_wasm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for Backends {
    fn name(&self) -> &'static str {
        self.processes.name()
    }

    async fn prepare(&self, environment: &Environment) -> Result<(), BackendError> {
        self.for_environment(environment).prepare(environment).await
    }

    async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError> {
        let backend = self.for_environment(&spec.environment);
        if Arc::ptr_eq(backend, &self.wasm) {
            self.of_wasm().insert(spec.id.clone());
        }
        backend.create(spec).await
    }

    async fn specialize(&self, id: &InstanceId, load: Load) -> Result<Address, BackendError> {
        let is_wasm = self.of_wasm().contains(id);
        if is_wasm { self.wasm.specialize(id, load).await } else { self.processes.specialize(id, load).await }
    }

    async fn destroy(&self, id: &InstanceId, grace: Duration) {
        let was_wasm = self.of_wasm().remove(id);
        if was_wasm { self.wasm.destroy(id, grace).await } else { self.processes.destroy(id, grace).await }
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit> {
        let (sender, merged) = mpsc::unbounded_channel();
        for mut exits in [self.processes.exits(), self.wasm.exits()] {
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(exit) = exits.recv().await {
                    let _ = sender.send(exit);
                }
            });
        }
        merged
    }

    async fn forget(&self, environment: &Environment) {
        self.for_environment(environment).forget(environment).await;
    }
}

/// The backend for WebAssembly.
#[cfg(feature = "wasm")]
pub(crate) fn wasm(data: &Path, logs: &LogStore) -> Result<Arc<dyn Backend>> {
    let options = fission_wasm::Options::new(data.to_owned());
    Ok(Arc::new(fission_wasm::WasmBackend::new(options, Arc::new(logs.clone()))?))
}

/// What stands in its place where this program was built without it.
#[cfg(not(feature = "wasm"))]
pub(crate) fn wasm(_: &Path, _: &LogStore) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(without::Nothing))
}

#[cfg(not(feature = "wasm"))]
mod without {
    use super::*;

    /// Makes nothing, and says why.
    pub(super) struct Nothing;

    impl Nothing {
        fn refuse(environment: &Environment) -> BackendError {
            let meta = &environment.metadata;
            let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
            BackendError::Unsupported {
                environment: format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default()),
                why: "this fission was built without WebAssembly (feature `wasm`); releases have it".to_owned(),
            }
        }
    }

    #[async_trait]
    impl Backend for Nothing {
        fn name(&self) -> &'static str {
            "wasm"
        }

        async fn prepare(&self, environment: &Environment) -> Result<(), BackendError> {
            Err(Self::refuse(environment))
        }

        async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError> {
            Err(Self::refuse(&spec.environment))
        }

        async fn specialize(&self, id: &InstanceId, _: Load) -> Result<Address, BackendError> {
            Err(BackendError::Broken { instance: id.clone(), why: "is gone".to_owned() })
        }

        async fn destroy(&self, _: &InstanceId, _: Duration) {}

        fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit> {
            mpsc::unbounded_channel().1
        }
    }
}
