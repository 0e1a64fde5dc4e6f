//! The Kubernetes-style API on one machine.
//!
//! [`ApiServer`] answers HTTP requests: in process as a `tower::Service` behind a `kube::Client`, or handed in by a
//! listener that has already checked who is asking. Objects live in SQLite, every read and watch comes from memory.
//!
//! What it never knows: sockets, TLS, tokens; what the kinds mean (that is `fission-api`); who runs instances (pods and
//! their logs come through `fission-rpc`). It never names a Kubernetes workload type.
//!
//! The invariants:
//! * an acknowledged write is on disk, and a write that failed changed nothing;
//! * every change has a resource version of its own, and watchers see each change once, in order, after it is durable;
//! * a write based on an old version never wins;
//! * a damaged row is reported by name and never silently dropped;
//! * a slow watcher is cut; it never holds a writer up.
//!
//! Start reading in [`storage`] (what is kept), then `verbs` (what clients can do), then `http` (how they ask).

mod admission;
mod core_kinds;
mod discovery;
mod gc;
mod http;
mod jsonpath;
mod names;
mod openapi;
mod patch;
mod pod_log;
mod pods;
mod registry;
mod seed;
mod selectors;
mod server;
mod shape;
mod status;
mod storage;
mod table;
mod verbs;

pub use self::http::respond::ResponseBody;
pub use self::server::{ApiServer, DamagedObject, OpenError, Options, Storage};

pub(crate) use self::server::Inner;
