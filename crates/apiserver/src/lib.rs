//! The Kubernetes-style API on one machine: storage, registry, admission, watch, patch, discovery.
