//! Every limit of the router, and what it is made from.

use std::time::Duration;

use fission_api::{Function, HTTPTrigger};
use fission_rpc::cache::Cache;

/// Limits of the router.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest time a client may take to send the head of a request; slower ones are cut off. 10 s, as in Fission.
    pub header_timeout: Duration,
    /// Largest head of a request, in bytes; larger ones are answered 431. At least 8 KiB. 256 KiB: what 10,000
    /// connections with unfinished heads may cost stays below 3 GB.
    pub max_header_bytes: usize,
    /// How long a client's connection may stay without a request. 120 s, as in Fission.
    pub keep_alive: Duration,
    /// Most clients' connections of one listener; further ones wait to be accepted. 10,000: well below usual file
    /// limits, since each may need a second connection to an instance.
    pub max_connections: usize,
    /// Largest body of an internal request, in bytes: it is held whole to check its signature. 64 MiB, as in Fission.
    pub max_internal_body: usize,
    /// Longest time to get a connection to an instance. 5 s: an instance on the same machine or cluster that takes
    /// longer is gone.
    pub connect_timeout: Duration,
    /// Threads that serve connections, beside those the router was started on; 0: none but those. As many as there are
    /// processors.
    pub threads: usize,
    /// Idle connections kept for one instance by each thread. 256, as in Fission.
    pub max_idle_per_endpoint: usize,
    /// How long an idle connection to an instance is used again. 4 s: many servers close theirs after 5 s, and a
    /// request must not meet that.
    pub max_idle_age: Duration,
    /// Instances tried for one request when connecting fails. 3: more would only repeat what is wrong.
    pub max_tries: usize,
    /// Longest silence of a streaming function that sets none itself. 60 s, as in Fission.
    pub stream_idle: Duration,
    /// How long requests in flight may go on after the router was told to stop. 30 s, as in Fission.
    pub drain_timeout: Duration,
    /// How long changes are collected before the next route table is published. 20 ms, as in Fission.
    pub table_debounce: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 256 * 1024,
            keep_alive: Duration::from_secs(120),
            max_connections: 10_000,
            max_internal_body: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_idle_per_endpoint: 256,
            max_idle_age: Duration::from_secs(4),
            max_tries: 3,
            stream_idle: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            table_debounce: Duration::from_millis(20),
        }
    }
}

/// What the router watches.
#[derive(Clone, Default)]
pub struct Sources {
    /// Functions.
    pub functions: Cache<Function>,
    /// Routes.
    pub triggers: Cache<HTTPTrigger>,
}

/// What `/_version` tells of this build.
#[derive(Clone, Debug, Default)]
pub struct BuildInfo {
    /// Commit it was built from; empty if not known.
    pub commit: String,
    /// When it was built, in RFC 3339; empty if not known.
    pub date: String,
    /// Its version.
    pub version: String,
}
