//! Serverless functions in one binary: the command line and every server component.
//!
//! This is the only crate that sees every room. [`platform`] puts the rooms together, [`config`] holds every setting,
//! [`api_listener`] is the API's socket. Everything else is a room of its own; ARCHITECTURE.md is the map.
//!
//! The program is also its own helper processes: the launcher of the sandbox and the server of the `binary`
//! environment. Both are decided before anything else, since the launcher must never have had a thread.

mod api_listener;
mod backends;
mod config;
mod credentials;
mod memory;
mod metrics_page;
mod platform;
mod ports;
mod preparation;
mod roles;
mod status_page;
mod unserved;

use std::process::ExitCode;

use fission_cli::{Io, Parsed, UpArgs};

// Thousands of small allocations per second cross threads here; mimalloc keeps them and the resident memory low.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match arguments.get(1).and_then(|word| word.to_str()) {
        Some(fission_sandbox::launcher::ARGUMENT) => fission_sandbox::launcher::main(),
        Some(fission_environments::binary_server::SUBCOMMAND) => return fission_environments::binary_server::main(),
        Some(fission_environments::rust_server::SUBCOMMAND) => return fission_environments::rust_server::main(),
        _ => {}
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("nothing installs a TLS provider before main");
    }
    if let Some(role) = roles::asked(&arguments) {
        return roles::run(role);
    }
    match fission_cli::parse(arguments) {
        Ok(Parsed::Up(args)) => up(args),
        Ok(Parsed::Run(request)) => command(request),
        Err(not_run) => say(&not_run),
    }
}

/// Runs the platform until it is told to end.
fn up(args: UpArgs) -> ExitCode {
    let outcome = config::Config::read(args).and_then(|config| {
        tracing_subscriber::fmt()
            .with_env_filter(config::log_filter())
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .init();
        // Before the runtime: the launcher is forked from this process while it has one thread.
        let launcher = platform::start_launcher()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(platform::run(config, launcher));
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Runs a command. One thread: a command lives for milliseconds.
fn command(request: fission_cli::Request) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(fission_cli::run(request, Io::of_process())),
        Err(error) => fail(&anyhow::anyhow!("cannot start: {error}")),
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr)] // help goes to stdout, mistakes to stderr
fn say(not_run: &fission_cli::NotRun) -> ExitCode {
    if not_run.exit == 0 {
        print!("{}", not_run.text)
    } else {
        eprint!("{}", not_run.text)
    }
    ExitCode::from(not_run.exit)
}

#[allow(clippy::print_stderr)] // the error is for the person who typed the command
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("Error: {error:#}");
    ExitCode::FAILURE
}
