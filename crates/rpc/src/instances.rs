//! What runs: the view of instances that the API server shows as pods and the CLI lists.

use jiff::Timestamp;
use tokio::sync::watch;

use crate::endpoint::{Address, InstanceId};

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Being made.
    Starting,
    /// In a pool, waiting for a function.
    Generic,
    /// Being loaded with its function.
    Specializing,
    /// Serving its function.
    Specialized,
    /// Serving its last requests.
    Draining,
    /// Ended by itself; kept for a while so that people can see why.
    Failed,
}

/// The function an instance belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceFunction {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// The generation loaded.
    pub generation: i64,
}

/// One instance as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceInfo {
    /// Its id, and the name of its pod.
    pub id: InstanceId,
    /// Namespace it is shown in.
    pub namespace: String,
    /// Where it stands.
    pub phase: Phase,
    /// `poolmgr` or `newdeploy`.
    pub executor_type: &'static str,
    /// Name of its environment.
    pub environment: String,
    /// Uid of its environment.
    pub environment_uid: String,
    /// Image it was made from.
    pub image: String,
    /// The function it belongs to, once specialized.
    pub function: Option<InstanceFunction>,
    /// Where it listens.
    pub address: Option<Address>,
    /// Process id on this machine, if it is a process.
    pub pid: Option<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// Requests served.
    pub served: u64,
    /// Why it ended, if it did by itself: exit code, signal, memory limit.
    pub ended: Option<String>,
    /// What isolation was really applied, one word each: `user`, `pid`, `mount`, `no-new-privs`, ...
    pub isolation: Vec<String>,
    /// What it should have been isolated by and is not, each with the reason.
    pub missing: Vec<String>,
}

/// The instances of this machine.
pub trait Instances: Send + Sync + 'static {
    /// All of them, generic ones included.
    fn list(&self) -> Vec<InstanceInfo>;
    /// A number that grows with every change; for watchers.
    fn changes(&self) -> watch::Receiver<u64>;
}
