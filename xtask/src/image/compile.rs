//! Our own programs, linked to nothing: they run in an image that holds nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What the C compiler for musl is called.
const COMPILER: &str = "musl-gcc";

/// The packages that have programs for images. Built for one set of features, so that the second finds the first's work.
const PACKAGES: &[&str] = &["fission", "fission-environments"];

/// Builds our programs, each at most once.
#[derive(Debug)]
pub(super) struct Compiler {
    root: PathBuf,
    profile: String,
    built: RefCell<BTreeMap<String, PathBuf>>,
}

impl Compiler {
    /// Builds in the workspace with a profile of cargo's.
    pub(super) fn new(root: &Path, profile: &str) -> Self {
        Self { root: root.to_owned(), profile: profile.to_owned(), built: RefCell::default() }
    }

    /// The path of a program, which is built now or was before.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        if let Some(path) = self.built.borrow().get(name) {
            return Ok(path.clone());
        }
        let path = self.build(name)?;
        self.built.borrow_mut().insert(name.to_owned(), path.clone());
        Ok(path)
    }

    fn build(&self, program: &str) -> Result<PathBuf> {
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        check(&target)?;
        super::note(&format!("building {program} for {target} with the profile {}", self.profile));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--locked", "--target", &target, "--profile", &self.profile])
            // In a cluster functions are pods: WebAssembly runs in the process of one machine's platform only.
            .arg("--no-default-features")
            .args(PACKAGES.iter().flat_map(|package| ["-p", package]))
            .args(["--bin", program, "--message-format=json-render-diagnostics"])
            .env(format!("CC_{}", target.replace('-', "_")), COMPILER)
            .current_dir(&self.root)
            .stderr(Stdio::inherit());
        // Variables of `cargo xtask` itself would have packages built again.
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
