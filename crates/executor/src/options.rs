//! Every limit of the pool manager, with its unit and the reason for its default.

use std::sync::Arc;
use std::time::Duration;

use fission_api::{Environment, Function, Package};
use fission_rpc::cache::Cache;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use crate::clock::{Clock, MachineClock};
use crate::room::{Memory, Unlimited};

/// What bounds the pool manager.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often idle instances, idle groups and broken pools are looked at. 5 s, as in Fission.
    pub reap_interval: Duration,
    /// Instances being made or loaded at once on this machine. 32: more would only make each of them slower.
    pub specializations: usize,
    /// Specializations in flight for one function. 20, as in Fission.
    pub pending_per_function: usize,
    /// Requests that may wait for one function. 10,000: about 10 MB of held requests.
    pub max_queue: usize,
    /// Instances of all functions and pools together. 500; the composition root derives it from the memory there is,
    /// so that a burst waits instead of making the machine swap.
    pub max_instances: usize,
    /// Knows how much memory is left. [`Unlimited`](crate::room::Unlimited); the composition root knows the machine's.
    pub memory: Arc<dyn Memory>,
    /// Bytes of memory that stay free: with less, a new instance waits until others have ended. 0.
    pub memory_reserve: u64,
    /// Bytes an instance is expected to take until it is up and its real size shows. 96 MiB: the largest of our
    /// environments' servers with a function.
    pub memory_per_instance: u64,
    /// Generic instances one pool makes at once when nobody waits for them. 2: refilling must not starve requests.
    pub refill_concurrency: usize,
    /// Whether functions of the executor types `newdeploy` and `container` are looked after by someone else. False.
    pub scaled_elsewhere: bool,
    /// Whether `provisionedConcurrency` of functions is kept. True.
    pub provisioned: bool,
    /// Instances kept for one function at most, whatever it asks for. 20, as in Fission.
    pub provisioned_per_function: usize,
    /// Specializations in flight for one function while nobody waits. 4, as in Fission, so that callers of
    /// others do not wait for what nobody waits for.
    pub provisioned_pending: usize,
    /// How often it is looked which instances are to be kept now, beside the edges of windows. 30 s, as in Fission.
    pub provisioned_interval: Duration,
    /// Knows what time it is. The machine's clock and time zone.
    pub clock: Arc<dyn Clock>,
    /// Pause before an instance taken from a pool is replaced. 10 ms: the specialization that took it has the machine
    /// to itself.
    pub refill_pause: Duration,
    /// Instances tried for one specialization before its requests are refused. 3.
    pub attempts: u32,
    /// Longest time a generic instance may take to be ready, preparation excluded. 60 s.
    pub create_timeout: Duration,
    /// How long a function whose code was refused is not tried again, so that a busy broken function does not use up
    /// its environment's pool. 1 s.
    pub refusal_memory: Duration,
    /// Longest time shutdown waits for requests in flight. 30 s.
    pub drain_deadline: Duration,
    /// Ended instances kept so that people can see why they ended. 100.
    pub failed_kept: usize,
    /// How long they are kept. 10 min.
    pub failed_kept_for: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reap_interval: Duration::from_secs(5),
            specializations: 32,
            pending_per_function: 20,
            max_queue: 10_000,
            max_instances: 500,
            memory: Arc::new(Unlimited),
            memory_reserve: 0,
            memory_per_instance: 96 << 20,
            refill_concurrency: 2,
            scaled_elsewhere: false,
            provisioned: true,
            provisioned_per_function: 20,
            provisioned_pending: 4,
            provisioned_interval: Duration::from_secs(30),
            clock: Arc::new(MachineClock),
            refill_pause: Duration::from_millis(10),
            attempts: 3,
            create_timeout: Duration::from_secs(60),
            refusal_memory: Duration::from_secs(1),
            drain_deadline: Duration::from_secs(30),
            failed_kept: 100,
            failed_kept_for: Duration::from_secs(600),
        }
    }
}

/// The declarations the pool manager acts on. It only reads them.
#[derive(Clone, Default)]
pub struct Declarations {
    /// All functions.
    pub functions: Cache<Function>,
    /// All environments.
    pub environments: Cache<Environment>,
    /// All packages.
    pub packages: Cache<Package>,
    /// All secrets; those that functions refer to are delivered.
    pub secrets: Cache<Secret>,
    /// All config maps, likewise.
    pub config_maps: Cache<ConfigMap>,
}
