//! Environment variables of functions: which names the platform keeps for itself.

/// Prefix no user variable may start with.
pub(crate) const RESERVED_PREFIX: &str = "FISSION_";

/// Names a user variable may not have: the platform sets them, or they would change what code the runtime loads.
pub(crate) const RESERVED_NAMES: &[&str] = &[
    "RESOURCE_VERSION_COUNT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "PYTHONPATH",
];
