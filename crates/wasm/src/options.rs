//! Every limit of the backend, and why it could not be made.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the backend.
#[derive(Clone, Debug)]
pub struct Options {
    /// The platform's data folder: machine code is kept below `cache/wasm`, secrets and config maps below `wasm`.
    pub data_dir: PathBuf,
    /// Linear memory of one store where neither function nor environment declares a limit, in bytes.
    pub memory: u64,
    /// Most stores at once, of all functions together: requests in progress and idle stores.
    pub max_stores: u32,
    /// How long a store that serves nothing is kept; the next request then makes one.
    pub idle_store: Duration,
    /// How long a component computes before others get the thread.
    pub tick: Duration,
    /// Largest component that is compiled, in bytes.
    pub max_component_bytes: u64,
    /// Machine code kept on disk, in bytes; what was not loaded for longest goes first.
    pub max_cache_bytes: u64,
}

impl Options {
    /// The defaults: 128 MiB a store, 1,000 stores, each kept for 10 s without a request, ticks of 5 ms, components of 100 MiB
    /// (JavaScript and Python bring their interpreters, some 20 MiB), 4 GiB of machine code.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            memory: 128 << 20,
            max_stores: 1_000,
            idle_store: Duration::from_secs(10),
            tick: Duration::from_millis(5),
            max_component_bytes: 100 << 20,
            max_cache_bytes: 4 << 30,
        }
    }
}

/// Why the backend could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WasmError {
    /// Its folders could not be made, or others may write there.
    #[error("WebAssembly cannot keep its files in {path}: {why}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The engine does not start on this machine.
    #[error("the WebAssembly engine does not start on this machine: {0}")]
    Engine(String),
}
