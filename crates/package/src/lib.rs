//! Code on its way to an instance: archives kept by the storage service, packages fetched, checked and unpacked once
//! into a cache that instances share, and the state of each package.
//!
//! * [`archive`]: unpacking of zip archives nobody trusts.
//! * [`storage`]: the storage service, files on disk behind `/v1/archive`, and its client.
//! * [`source`]: [`source::PackageStore`], the [`fission_rpc::code::CodeSource`] of a machine, with its cache. Code comes
//!   from the object itself, the storage, URLs and OCI images.
//! * [`controller`]: build status of packages, and functions that follow their package.
//! * [`build`]: one build, from the source to what functions load.
//! * [`build_service`] and [`fetch_service`]: what runs in the pods of builders: runs the build, and gets its source and
//!   stores its result.
//! * [`pruner`]: deletes stored archives no package refers to.
//!
//! This crate never knows how instances run, who called a function, or which server is the API server: it is given a
//! `kube::Client` and caches.
//!
//! Start reading in [`source`]. Invariants: nothing is visible under its final name before it is complete; what is in
//! the cache is named by its digest and never written again; an archive is never written outside the folder it is
//! unpacked into; no size, count or wait is without a named limit.

pub mod archive;
pub mod build;
pub mod build_service;
pub mod controller;
#[cfg(test)]
mod fake_api;
#[cfg(test)]
mod fake_builder;
pub mod fetch_service;
mod followers;
pub mod pruner;
mod receive;
mod shared_dir;
pub mod source;
mod status;
pub mod storage;
