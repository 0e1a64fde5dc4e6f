//! A pool manager with everything around it, in memory.

use std::sync::Arc;
use std::time::Duration;

use fission_api::Function;
use fission_executor::{Declarations, Options, PoolManager};
use fission_rpc::endpoint::Index;
use fission_rpc::executor::{Admission, ColdRequest, Executor};
use fission_rpc::refusal::Refusal;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{FixedCode, ScriptedBackend, fixtures};

/// See the module. Its parts are public: a test changes and looks at whatever it is about.
pub struct World {
    /// Makes instances.
    pub backend: Arc<ScriptedBackend>,
    /// Gives code.
    pub code: Arc<FixedCode>,
    /// What is declared.
    pub declared: Declarations,
    /// What the router would look at.
    pub index: Arc<Index>,
    /// The thing itself.
    pub pool_manager: Arc<PoolManager>,
    /// Ends [`PoolManager::run`].
    pub cancel: CancellationToken,
    /// [`PoolManager::run`].
    pub running: JoinHandle<()>,
}

impl World {
    /// A running pool manager with environment `nodejs` and this many warm instances wanted.
    pub fn new(options: Options, poolsize: i64) -> Self {
        Self::over(ScriptedBackend::new(), options, poolsize)
    }

    /// The same over a given backend.
    pub fn over(backend: Arc<ScriptedBackend>, options: Options, poolsize: i64) -> Self {
        let code = FixedCode::at("/code");
        let declared = Declarations::default();
        declared.environments.apply(fixtures::environment(fixtures::ENVIRONMENT, poolsize));
        let index = Arc::new(Index::default());
        let pool_manager = PoolManager::new(options, backend.clone(), declared.clone(), index.clone(), code.clone());
        let cancel = CancellationToken::new();
        let running = tokio::spawn(pool_manager.clone().run(cancel.clone()));
        Self { backend, code, declared, index, pool_manager, cancel, running }
    }

    /// Declares a function and its package.
    pub fn declare(&self, function: Function) -> Arc<Function> {
        let name = function.spec.package.package_ref.name.clone();
        self.declared.packages.apply(fixtures::package(&name));
        self.update(function)
    }

    /// Declares a function whose package is there already.
    pub fn update(&self, function: Function) -> Arc<Function> {
        self.declared.functions.apply(function.clone());
        Arc::new(function)
    }

    /// What the router does with a request: a free slot, or the executor with this much patience.
    ///
    /// # Errors
    /// The refusal of the executor.
    pub async fn request(&self, function: &Arc<Function>, patience: Duration) -> Result<Admission, Refusal> {
        let endpoints = self.index.group(function);
        if let Some(lease) = endpoints.try_acquire() {
            return Ok(Admission { lease, wait: Duration::ZERO, specialize: Duration::ZERO });
        }
        let deadline = tokio::time::Instant::now().into_std() + patience;
        self.pool_manager.admit(ColdRequest { function: function.clone(), endpoints, deadline }).await
    }
}
