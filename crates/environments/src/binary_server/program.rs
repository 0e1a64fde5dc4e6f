//! The function's program: which file it is and how it is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::Access;
use tokio::process::Command;

use crate::executable::{ELF, Executable, is_inside, shown};

/// Bytes at the start of a file that tell what it is; a shebang line is not longer on Linux.
const SNIFFED_BYTES: usize = 256;

/// Interpreters that can check a script without running it, with `-n`.
const SHELLS: [&str; 3] = ["sh", "bash", "dash"];

/// Runs scripts that name no interpreter.
const DEFAULT_SHELL: &str = "/bin/sh";

/// A program ready to be started any number of times.
pub(super) struct Program {
    /// The file the user uploaded; what the program sees as its own name.
    path: PathBuf,
    /// What is executed.
    executable: Executable,
    /// Its arguments.
    arguments: Vec<OsString>,
    /// Environment variables of its own; what tells of a request wins over them.
    variables: BTreeMap<String, String>,
}

impl Program {
    /// Finds the program at `path` (a file, or a directory in which `name` is one) and checks that it can be started.
    /// The error is for the user.
    pub(super) async fn load(path: &Path, name: &str) -> Result<Self, String> {
        let path = find(path, name)?;
        let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
        let mut start = Vec::new();
        let mut file = File::open(&path).map_err(failed)?;
        (&mut file).take(SNIFFED_BYTES as u64).read_to_end(&mut start).map_err(failed)?;
        if start.starts_with(ELF) {
            let executable = Executable::of(&path);
            let executable = executable.map_err(|error| format!("{} cannot be run: {error}", path.display()))?;
            return Ok(Self { path, executable, arguments: Vec::new(), variables: BTreeMap::new() });
        }
        if start.contains(&0) {
            return Err(format!("{} is neither a Linux program nor a script", path.display()));
        }
        Self::script(path, &start).await
    }

    async fn script(path: PathBuf, start: &[u8]) -> Result<Self, String> {
        let (executable, mut arguments) = interpreter(start);
        if rustix::fs::access(&executable, Access::EXEC_OK).is_err() {
            return Err(format!("{} needs {}, which is not here", path.display(), executable.display()));
        }
        let shell = executable.file_name().and_then(|name| name.to_str()).is_some_and(|name| SHELLS.contains(&name));
        if shell && arguments.is_empty() {
            check_syntax(&executable, &path).await?;
        }
        arguments.push(path.clone().into_os_string());
        Ok(Self { path, executable: Executable::at(executable), arguments, variables: BTreeMap::new() })
    }

    /// The same program with environment variables of its own.
    pub(super) fn with_variables(self, variables: BTreeMap<String, String>) -> Self {
        Self { variables, ..self }
    }

    /// A command that starts it, with its own variables and nothing else set.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable.path);
        command.args(&self.arguments).envs(&self.variables);
        if self.arguments.is_empty() {
            command.arg0(&self.path);
        }
        if let Some(folder) = self.path.parent() {
            command.current_dir(folder);
        }
        command
    }
}

fn find(path: &Path, name: &str) -> Result<PathBuf, String> {
    if !path.exists() {
        return Err(format!("there is no code at {}", path.display()));
    }
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(name);
    if is_inside(name) && file.is_file() {
        return Ok(file);
    }
    let files = shown(path)?;
    Err(match name {
        "" => format!("the package is a directory; say with --entrypoint which of its files to run: {files}"),
        _ => format!("entry point: there is no file {name} in the package; it has {files}"),
    })
}

/// What a script's first line names, the way the kernel reads it: a path and at most one argument.
fn interpreter(start: &[u8]) -> (PathBuf, Vec<OsString>) {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line.strip_prefix(b"#!").unwrap_or_default()).trim().to_owned();
    match text.split_once(char::is_whitespace) {
        _ if text.is_empty() => (DEFAULT_SHELL.into(), Vec::new()),
        Some((program, argument)) => (program.into(), vec![argument.trim().into()]),
        None => (text.into(), Vec::new()),
    }
}

async fn check_syntax(shell: &Path, script: &Path) -> Result<(), String> {
    let check = Command::new(shell).arg("-n").arg(script).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = check.map_err(|error| format!("{} cannot be run: {error}", shell.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
