//! The server of the `binary` environment: runs the function as a program, once per request.

/// The hidden subcommand of `fission` that runs this server.
pub const SUBCOMMAND: &str = "__binary-env";
