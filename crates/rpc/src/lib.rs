//! What the components say to each other. Rooms (router, executor, package, logs, apiserver) never import one another;
//! they meet here and in `fission-api`.
//!
//! * [`endpoint`]: the data plane's shared truth. Specialized instances, how many requests each has, who waits. The
//!   router admits on it without asking anyone; the executor reads demand from it and closes what is idle.
//! * [`executor`]: what the router asks when no endpoint has room.
//! * [`demand`]: the same across processes: what a router is asked for, and what the executor has for it.
//! * [`refusal`]: a request that was not served, and everything its sender needs to know.
//! * [`cache`]: one watched copy of a kind per process; [`namespaces`]: where it looks.
//! * [`signing`], [`signed`]: how components prove to each other that a request is theirs.
//! * [`build`]: source on its way to code; [`fetch`]: what pods' fetchers are told.
//! * [`code`], [`instances`], [`logs`]: code on its way to an instance, what runs, and what it printed.
//!
//! This crate never opens a socket or a file and holds no policy.
//!
//! Start reading in [`endpoint`].

pub mod build;
pub mod cache;
mod causes;
pub mod code;
pub mod demand;
pub mod endpoint;
pub mod executor;
pub mod fetch;
pub mod instances;
pub mod local;
pub mod logs;
pub mod namespaces;
pub mod refusal;
pub mod signed;
pub mod signing;

pub use causes::causes;
