//! Environment variables of functions: which names the platform keeps for itself.

/// Prefix no user variable may start with.
const RESERVED_PREFIX: &str = "FISSION_";

/// Names a user variable may not have: the platform sets them, or they would change what code the runtime loads.
const RESERVED_NAMES: &[&str] = &[
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

/// Whether the platform keeps the name of an environment variable for itself.
pub fn is_reserved_variable(name: &str) -> bool {
    name.starts_with(RESERVED_PREFIX) || RESERVED_NAMES.contains(&name)
}
