//! Backend: pods, deployments, services. The only crate that names workload objects.
//!
//! What it never knows: how many instances there should be and when one ends (that is `fission-executor`), where code
//! comes from, and settings of the process.
//!
//! Start reading in [`backend`] (the pool manager's instances as pods), go on to `pods` (what is known of them),
//! `template` (what they are made of) and `specialize` (how one becomes a function's). [`scaled`] looks after functions
//! that Kubernetes scales itself, `services` and [`slices`] are how routers learn of endpoints, [`fetcher`] is what runs
//! beside the environment in each pod, [`leader`] elects one of several equal processes, [`logs`]
//! reads what pods print, [`exposure`] leads the edge of the cluster to the router. `RACES.md` lists what must not happen.

pub mod backend;
pub mod builder;
mod deployments;
pub mod exposure;
pub mod fetcher;
pub mod keys;
pub mod leader;
pub mod logs;
mod merge;
mod names;
pub mod options;
mod pods;
mod pools;
pub mod scaled;
mod services;
pub mod slices;
mod specialize;
mod template;
mod tending;
pub mod wire;
