//! The pool manager: which instances exist, what each is loaded with, and when each ends.
//!
//! It decides; a [`backend::Backend`] does. It never starts a process or names a workload kind, and it
//! is not asked by a request that finds an endpoint with room: the router admits those by itself.
//!
//! Start reading in `admit` (a request that found no room), go on to `specialize` (how it gets an instance) and `pool`
//! (where that comes from). `configuration` is the pure decision what it is given beside the
//! code, `capacity` how many, `provisioned` how many before anyone asks; `poolmgr` and `newdeploy` are the strategies;
//! `reaper`, `updates` and `exits` end instances; `policy` holds what they share. `remote` and `reports` are for routers
//! in other processes, `http` is how they ask, `foreign` how Fission's own do.
//!
//! Invariants:
//! * everything is keyed by uid and generation; an instance serves one generation of one function;
//! * a function never has more living and pending instances than its limit, nor more on their way than can be filled;
//! * a request in flight beats the reaper, an update and shutdown, up to its function's timeout;
//! * who waits is answered: by a slot, by a refusal that says why, or by its own deadline;
//! * nothing is kept for a function that was not called and does not ask for it; no lock is held across an await;
//! * where instances outlive this process, the next one adopts what serves and removes what was left half done; where
//!   they do not, a start begins clean.
#![allow(clippy::result_large_err, reason = "a refusal leaves the cold path once; its size does not matter there")]

mod admit;
mod adoption;
pub mod backend;
mod capacity;
pub mod clock;
mod conditions;
pub mod configuration;
mod exits;
mod foreign;
mod group;
pub mod http;
mod instance;
mod metrics;
mod newdeploy;
mod options;
mod plan;
mod policy;
mod pool;
mod poolmgr;
mod provisioned;
mod reaper;
mod refusals;
mod remote;
mod reports;
pub mod room;
mod run;
mod specialize;
mod updates;

use std::sync::Arc;

use fission_rpc::code::CodeSource;
use fission_rpc::endpoint::Index;
use fission_rpc::instances::{InstanceInfo, Instances};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use options::{Declarations, Options};

use crate::backend::Backend;
use crate::policy::Policy;

/// The pool manager. It answers requests as soon as it exists; [`Self::run`] keeps pools warm and ends what is idle.
pub struct PoolManager {
    policy: Arc<Policy>,
}

impl PoolManager {
    /// A pool manager over a backend, the declarations it acts on, the index it shares with the router, and code.
    pub fn new(
        options: Options,
        backend: Arc<dyn Backend>,
        declarations: Declarations,
        index: Arc<Index>,
        code: Arc<dyn CodeSource>,
    ) -> Arc<Self> {
        Arc::new(Self { policy: Policy::new(options, backend, declarations, index, code) })
    }

    /// Takes over what an earlier process left. To be called once, before requests, when the declarations are known.
    pub async fn adopt(&self) {
        adoption::adopt(&self.policy).await;
    }

    /// Keeps pools filled, reaps, follows changed declarations and ended instances until cancelled. Then it takes no
    /// more requests, lets those it has end, up to [`Options::drain_deadline`], and ends every instance. To be called
    /// once: the backend's exits are taken by it.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        run::run(self.policy.clone(), cancel).await;
    }

    /// Writes conditions to the status of functions and environments until dropped. Requests never wait for it.
    pub async fn report_conditions(self: Arc<Self>, client: kube::Client) {
        self.policy.conditions.write(client).await;
    }

    /// Adds what is counted here to a registry: `fission_function_cold_starts_total`,
    /// `fission_function_cold_start_errors_total`, `fission_executor_specializations_rejected_total`,
    /// `fission_function_running_seconds`, and `fission_provisioned_*`.
    pub fn register_metrics(&self, registry: &mut prometheus_client::registry::Registry) {
        self.policy.metrics.register(registry);
    }
}

impl Instances for PoolManager {
    fn list(&self) -> Vec<InstanceInfo> {
        self.policy.register.list()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.policy.register.changes()
    }
}
