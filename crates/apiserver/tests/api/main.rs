//! The API server through clients no one here wrote: `kube` in process, and plain HTTP where `kube` has no words.

mod apply;
mod collect;
mod crash;
mod errors;
mod lists;
mod objects;
mod pods;
mod watches;
mod world;
