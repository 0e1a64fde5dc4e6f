//! The platform on a real Kubernetes, driven as users drive it. Started by `tests/cluster/run`, which brings a cluster, the
//! images and the installation; with `KUBECONFIG` set it is that cluster.
//!
//! Each test has a namespace's worth of names of its own and leaves nothing. What breaks the cluster for everybody is in
//! `faults` and `disturbances`, and waits for its turn.

mod article;
mod disturbances;
mod edges;
mod faults;
mod functions;
mod install;
mod languages;
mod lifecycle;
mod moving;
mod refusals;
mod scaled;
mod upgrade;
mod world;
