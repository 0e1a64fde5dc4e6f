//! The roles a process of a cluster has: the same rooms as on one machine, one or a few per process.
//!
//! [`ROLES`] is the table. Each role has one file that puts its rooms together; [`context`] is what all of them are
//! given, [`health`] how the cluster sees that they live.

mod builder;
mod builder_server;
mod connections;
pub(crate) mod context;
mod controller;
mod executor;
mod fetcher;
mod health;
mod logs;
mod namespaces;
mod router;
mod secret;
mod storage;
mod triggers;
mod webhook;

use std::pin::Pin;
use std::process::ExitCode;

use anyhow::Result;

use crate::config;

/// A role's work, from start to end.
type Work = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One role.
pub(crate) struct Role {
    /// The word after `fission` that starts it.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
    run: fn() -> Work,
}

/// Every role.
pub(crate) const ROLES: &[Role] = &[
    Role { name: "router", about: "takes requests to the pods of functions", run: || Box::pin(router::run()) },
    Role { name: "executor", about: "makes and ends the pods of functions", run: || Box::pin(executor::run()) },
    Role {
        name: "fetcher",
        about: "runs in each pod: fetches the code and has it loaded",
        run: || Box::pin(fetcher::run()),
    },
    Role { name: "storage", about: "keeps archives", run: || Box::pin(storage::run()) },
    Role {
        name: "triggers",
        about: "starts functions for reasons other than requests",
        run: || Box::pin(triggers::run()),
    },
    Role { name: "logs", about: "keeps what functions print", run: || Box::pin(logs::run()) },
    Role {
        name: "controller",
        about: "one address for clients that have no other",
        run: || Box::pin(controller::run()),
    },
    Role { name: "webhook", about: "refuses wrong objects before they are stored", run: || Box::pin(webhook::run()) },
    Role { name: "builder", about: "has the source of packages built", run: || Box::pin(builder::run()) },
    Role { name: "builder-server", about: "runs in builder images: builds", run: || Box::pin(builder_server::run()) },
];

/// The role a command line asks for. A program called `builder` is the server of builder images.
pub(crate) fn asked(arguments: &[std::ffi::OsString]) -> Option<&'static Role> {
    let program = arguments.first().map(std::path::Path::new).and_then(|path| path.file_name()?.to_str());
    let word = match program {
        Some("builder") => "builder-server",
        _ => arguments.get(1)?.to_str()?,
    };
    ROLES.iter().find(|role| role.name == word)
}

/// Runs a role until it is told to end.
pub(crate) fn run(role: &Role) -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(config::log_filter())
        .with_writer(std::io::stderr)
        .init();
    tracing::info!(role = role.name, about = role.about, version = crate::status_page::version(), "starting");
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let outcome = outcome.and_then(|runtime| {
        let outcome = runtime.block_on((role.run)());
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(role = role.name, error = format!("{error:#}"), "the role ended");
            ExitCode::FAILURE
        }
    }
}
