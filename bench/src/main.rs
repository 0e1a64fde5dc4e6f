//! One benchmark per promised figure, beside the alternative. `bench/run` runs them all and prints the table of
//! `bench/README.md`.
//!
//! Start reading in `proxy` (the warm path) and `languages` (the cold one).

mod cold;
mod languages;
mod load;
mod platform;
mod process;
mod proxy;
mod saving;
mod servers;
mod stats;
mod wasm;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

// The allocator the platform ships with: its router is measured inside this program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures what the project promises", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The router beside nginx and haproxy.
    Proxy,
    /// First calls, and requests a second, of every language, or of those whose image has a word in it.
    Languages { binary: PathBuf, only: Option<String> },
    /// A hundred first calls at once.
    Burst { binary: PathBuf },
    /// From a saved file to the new answer.
    Saving { binary: PathBuf },
    /// From source file to first answer through the CLI.
    Creation { binary: PathBuf },
    /// Memory and start time of a platform with nothing to do.
    Idle { binary: PathBuf },
    /// Ten thousand functions and routes, of an image.
    Scale {
        binary: PathBuf,
        #[arg(default_value = "fission/node-env")]
        image: String,
    },
    /// WebAssembly, warm, cold and idle.
    Wasm { binary: PathBuf },
    /// A hello server for the proxies (used by `proxy`).
    #[command(hide = true)]
    Backend { socket: PathBuf, address: SocketAddr },
    /// Our router before that server (used by `proxy`).
    #[command(hide = true)]
    Router { socket: PathBuf, address: SocketAddr },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread: on two cores the load must leave room for what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.what {
            What::Proxy => proxy::run().await,
            What::Languages { binary, only } => languages::run(&binary, only.as_deref()).await,
            What::Burst { binary } => languages::burst(&binary).await,
            What::Saving { binary } => saving::run(&binary).await,
            What::Creation { binary } => cold::creation(&binary).await,
            What::Idle { binary } => cold::idle(&binary).await,
            What::Scale { binary, image } => cold::scale(&binary, &image).await,
            What::Wasm { binary } => wasm::run(&binary).await,
            What::Backend { socket, address } => servers::backend(&socket, address).await,
            What::Router { socket, address } => servers::router(socket, address).await,
        }
    })
}
