//! The servers of this crate alone, for the container images of their environments. The first argument is the subcommand
//! `fission` knows each of them by.

use std::process::ExitCode;

use fission_environments::{binary_server, rust_server};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(binary_server::SUBCOMMAND) => binary_server::main(),
        Some(rust_server::SUBCOMMAND) => rust_server::main(),
        _ => {
            eprintln!(
                "usage: fission-env-server {} | {} COMPILER...",
                binary_server::SUBCOMMAND,
                rust_server::SUBCOMMAND
            );
            ExitCode::from(2)
        }
    }
}
