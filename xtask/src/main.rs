//! Our own tools: `cargo xtask tidy` checks the rules of the house, `cargo xtask codegen` writes generated files,
//! `cargo xtask image` makes container images.

mod codegen;
mod image;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const USAGE: &str = "usage: cargo xtask <verb>

  tidy              check the rules of the house; print every offender
  codegen           write deploy/crds from the types of crates/api
  codegen --check   fail when deploy/crds is not current
  image NAME...     make container images, without Docker; `image` alone says more";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = root().and_then(|root| match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["codegen"] => codegen::write(&root).map(|()| true),
        ["codegen", "--check"] => codegen::check(&root),
        ["image", words @ ..] => image::run(&root, words).map(|()| true),
        _ => anyhow::bail!("{USAGE}"),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: the parent of this package's.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).context("xtask has no parent folder")
}

/// Prints one line for people.
fn say(line: &str) {
    use std::io::Write as _;
    // A reader that went away is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}
