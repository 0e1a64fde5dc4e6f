//! The data plane: which function a request reaches, the right to be sent to an instance, the way there and back, and
//! an answer that explains itself when there is none.
//!
//! A warm request goes `server` -> `public` (or `internal`) -> `routes` -> `call` -> `admit` -> `forward` -> instance
//! in one task: no lock is held across an await, nothing is asked of anyone, nothing is written anywhere. Only when no
//! instance has room does `admit` ask the executor, and the request waits there.
//!
//! Invariants:
//!
//! * a slot of an instance is held from before the request is sent until its response body, or tunnel, has ended;
//! * a request is sent a second time only if it certainly reached no instance;
//! * bodies stream both ways and are never held whole, but for signed internal requests, up to a limit;
//! * every response carries a request id and `Server-Timing`; every refusal names what decided and how to change it.
//!
//! This crate never starts or ends an instance, stores nothing, and knows no backend.
//!
//! Start reading in `server`; the route table is in `routes`, the threads are in `workers`. `remote` is the executor where
//! it is another process.

mod admit;
#[doc(hidden)]
pub mod bench;
mod body;
mod call;
mod conditions;
mod connection;
mod cors;
mod errors;
mod forward;
mod functions;
mod headers;
mod internal;
mod local;
mod metrics;
mod options;
mod path;
mod public;
mod remote;
mod router;
mod routes;
mod server;
mod timing;
mod transport;
mod upgrade;
mod workers;

pub use options::{BuildInfo, Options, Sources};
pub use remote::RemoteExecutor;
pub use router::Router;
