//! Our own programs, linked to nothing: they run in an image that holds nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What the C compiler for musl is called.
const COMPILER: &str = "musl-gcc";

/// Builds a program of a package and gives its path.
pub(super) fn build(root: &Path, profile: &str, package: &str, program: &str) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    check(&target)?;
    super::note(&format!("building {program} for {target} with the profile {profile}"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "--target", &target, "--profile", profile, "-p", package, "--bin", program])
        .arg("--message-format=json-render-diagnostics")
        .env(format!("CC_{}", target.replace('-', "_")), COMPILER)
        .current_dir(root)
        .stderr(Stdio::inherit());
    // Variables of `cargo xtask` itself would have everything built again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_run(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let output = command.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{program} could not be built");
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == program && message["reason"] == "compiler-artifact";
        ours.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    };
    let lines = String::from_utf8_lossy(&output.stdout);
    lines.lines().find_map(executable).with_context(|| format!("cargo does not say where {program} is"))
}

/// What cargo sets for the programs it runs.
fn is_of_this_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME"
}

fn check(target: &str) -> Result<()> {
    let libraries = super::host::output("rustc", &["--print", "target-libdir", "--target", target])?;
    if !Path::new(libraries.trim()).is_dir() {
        bail!("Rust cannot build for {target} yet: rustup target add {target}");
    }
    super::host::program(COMPILER, "install it (Debian: apt-get install -y musl-tools)").map(drop)
}
