//! The user's commands: one file per verb, one folder per noun.
//!
//! [`parse`] understands a command line, [`run`] does what it says. The one thing it does not do is run the platform:
//! `fission up` is parsed here and handed to the binary, which alone sees every component. What commands and a running
//! platform know of each other is in [`running`].
//!
//! This crate never knows a component: it is an ordinary client of the API server, the storage service and the router,
//! found by `target`. Objects are checked with the same functions the server uses, so messages are the same.
//!
//! Start reading in `args`, which holds the table of commands; each row is a folder or file of that name. Then
//! `function/create` for a typical verb.
//!
//! Invariants: nothing but the answer is on standard output when `-o json|yaml|name` is given; a command that fails
//! leaves nothing half-done behind and exits with 1; variables are read in [`mod@env`] only.

mod archive;
mod args;
mod changes;
mod check;
mod cluster;
mod code;
mod completion;
mod conditions;
mod doors;
mod down;
mod duration;
pub mod env;
mod environment;
mod export;
mod failure;
mod flags;
mod function;
mod io;
mod mqtrigger;
mod noun;
mod output;
mod package;
mod pods;
mod route;
pub mod running;
mod session;
mod spec;
mod status;
mod storage;
mod support;
mod table;
mod target;
mod timetrigger;
mod token;
mod trigger;
mod up;
mod version;
mod wait;
mod watch;
mod yaml;

#[cfg(test)]
mod tests;

pub use args::{Globals, NotRun, Parsed, Request, parse};
pub use failure::{Failure, Outcome};
pub use io::Io;
pub use up::UpArgs;
pub use version::{Build, build};

/// Does what a command line asked for and gives the exit code: 0, or 1 after the error was printed.
pub async fn run(request: Request, io: Io) -> std::process::ExitCode {
    let (outcome, mut io) = request.run(io).await;
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(&mut io);
            std::process::ExitCode::FAILURE
        }
    }
}
