//! What makes and ends instances. Policy (which, when, how many) stays in this crate; a backend only does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fission_api::{Environment, Function, Package};
use fission_rpc::code::Code;
use fission_rpc::endpoint::{Address, FunctionKey, InstanceId};
use tokio::sync::mpsc;

use crate::configuration::Configuration;

/// A generic instance to make.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// Its id, chosen by the executor; never used twice.
    pub id: InstanceId,
    /// The environment it runs. Image, resources and runtime environment variables are read from it.
    pub environment: Arc<Environment>,
    /// Set when the instance is made for one function from the start (`newdeploy`, or one with a network of its own); its
    /// resources then win.
    pub function: Option<Arc<Function>>,
}

/// A generic instance that said it is ready.
#[derive(Clone, Debug)]
pub struct Created {
    /// Where it listens.
    pub address: Address,
    /// Its process id, where it is a process.
    pub pid: Option<u32>,
    /// What isolation was really applied, one word each.
    pub isolation: Vec<String>,
    /// What it should have been isolated by and is not, each with the reason.
    pub missing: Vec<String>,
}

/// One function to load into a generic instance.
#[derive(Clone, Debug)]
pub struct Load {
    /// The function.
    pub function: Arc<Function>,
    /// The package it is loaded from.
    pub package: Arc<Package>,
    /// Its unpacked code. A backend whose instances fetch their code themselves is given none.
    pub code: Code,
    /// Its files and environment variables; there before its code is loaded. Not for any log.
    pub configuration: Configuration,
    /// `user` for version 1 environments, `deployarchive` otherwise.
    pub filename: String,
    /// Version of the environment: 1 is loaded through `/specialize`, which has no place for variables; others, and those
    /// with variables, through `/v2/specialize`.
    pub environment_version: i64,
    /// Longest time the load may take.
    pub timeout: Duration,
}

/// A specialized instance that an earlier process left.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// Its id from now on.
    pub id: InstanceId,
    /// `metadata.uid` and `generation` of the function it serves.
    pub function: FunctionKey,
    /// `metadata.uid` of its environment.
    pub environment_uid: String,
    /// Whether it was made from the environment as it is now.
    pub is_current: bool,
    /// Uid and generation of the package it was loaded from.
    pub package: (String, i64),
    /// [`Configuration::fingerprint`] of what it was given.
    pub configuration: u64,
    /// Whether [`Backend::provisioned`] last said that it is kept.
    pub is_provisioned: bool,
    /// Where it listens.
    pub created: Created,
}

/// Why an instance could not be made or loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackendError {
    /// This backend cannot run the environment; trying again does not help. The text says what to do.
    #[error("environment {environment} cannot run here: {why}")]
    Unsupported {
        /// `namespace/name`.
        environment: String,
        /// Why not, and what to do.
        why: String,
    },
    /// The instance did not come up, or is gone; another try may work.
    #[error("instance {instance} {why}")]
    Broken {
        /// The instance.
        instance: InstanceId,
        /// What happened to it.
        why: String,
    },
    /// The environment refused the code: it does not parse, an import is missing, the entry point is not there.
    /// The same code will be refused again.
    #[error("{message}")]
    Refused {
        /// Status the environment answered with.
        status: u16,
        /// What it said, for the user.
        message: String,
    },
    /// The load took longer than it may.
    #[error("instance {instance} did not load the function within {seconds} s")]
    TimedOut {
        /// The instance.
        instance: InstanceId,
        /// The limit.
        seconds: u64,
    },
}

/// An instance ended without being told to.
#[derive(Clone, Debug)]
pub struct InstanceExit {
    /// Which.
    pub id: InstanceId,
    /// Why, for people: `exited with code 1`, `killed by signal 9`, `killed: over its memory limit of 256 MiB`.
    pub why: String,
}

/// Makes and ends instances.
///
/// Promises: `create` returns only after the instance answered; an id that was destroyed is never reported as exited;
/// `destroy` of an unknown id does nothing. Only where [`Self::outlives`] says so does an instance outlive the process that
/// made it.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Its name in messages and metrics: `sandbox`, `kubernetes`, `wasm`.
    fn name(&self) -> &'static str;

    /// Makes what instances of the environment need (once), so that `create` is fast. Slow the first time.
    async fn prepare(&self, environment: &Environment) -> Result<(), BackendError>;

    /// Makes a generic instance and waits until it is ready. Dropping the future ends the instance.
    async fn create(&self, spec: InstanceSpec) -> Result<Created, BackendError>;

    /// Loads a function into a generic instance, once. Returns where the function answers.
    async fn specialize(&self, id: &InstanceId, load: Load) -> Result<Address, BackendError>;

    /// Ends an instance: asks, waits up to `grace`, then kills. Returns when it is gone and its files are removed.
    async fn destroy(&self, id: &InstanceId, grace: Duration);

    /// Instances that ended by themselves, in order. Taken once, by the executor.
    fn exits(&self) -> mpsc::UnboundedReceiver<InstanceExit>;

    /// Whether instances go on when this process ends, and others than this process send requests to them. The next
    /// process then takes them over with [`Self::adopt`].
    fn outlives(&self) -> bool {
        false
    }

    /// The specialized instances an earlier process left; called once, before anything else. What it left half done is
    /// removed.
    async fn adopt(&self) -> Vec<Adopted> {
        Vec::new()
    }

    /// Makes that no new request is sent to an instance by anyone. Requests in flight go on.
    async fn withdraw(&self, _id: &InstanceId) {}

    /// An instance is kept although nobody calls it, or no longer: for people to see, and for [`Self::adopt`].
    async fn provisioned(&self, _id: &InstanceId, _provisioned: bool) {}

    /// The environment was deleted: removes what [`Self::prepare`] made for it.
    async fn forget(&self, _environment: &Environment) {}

    /// The name others know an instance by.
    fn name_of(&self, id: &InstanceId) -> Arc<str> {
        id.0.clone()
    }
}
