//! Finding programs of the host and asking them for their version.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use crate::definition::{Definition, Requirement};
use crate::prepare::PrepareError;

/// A version query that takes longer than this is given up: version switchers may be slow, hung ones never answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Folders every sandbox shows by itself; what lies in them need not be listed.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/// A program of the host that satisfies a requirement.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// What commands call it: `node`.
    pub name: String,
    /// The executable to run.
    pub path: PathBuf,
    /// Its version as it says it.
    pub version: String,
    /// What it needs to see to run, system folders left out.
    pub folders: Vec<PathBuf>,
    /// The host has none; the preparation installs it.
    pub substituted: bool,
}

/// What a probe prints when it prints JSON.
#[derive(Deserialize)]
struct Probe {
    version: String,
    executable: Option<PathBuf>,
    #[serde(default)]
    folders: Vec<PathBuf>,
}

/// Finds every program an environment requires, and those it has a use for.
pub(crate) async fn find_all(definition: &Definition, search_path: &OsStr) -> Result<Vec<Tool>, PrepareError> {
    let mut tools = Vec::with_capacity(definition.requires.len());
    for requirement in &definition.requires {
        match find(&definition.name, requirement, search_path).await {
            Err(_) if requirement.optional => {}
            Err(missing) => tools.extend(substitute(requirement, search_path).ok_or(missing)?),
            Ok(tool) => tools.push(tool),
        }
    }
    Ok(tools)
}

/// What takes a tool's place, and the program that installs it, if the host has that one.
fn substitute(requirement: &Requirement, search_path: &OsStr) -> Option<[Tool; 2]> {
    let substitute = requirement.substitute.as_ref()?;
    let installer = candidates(std::slice::from_ref(&substitute.needs), search_path).into_iter().next()?;
    let tool = |name: &str, path: PathBuf, substituted: bool| Tool {
        name: name.to_owned(),
        path,
        version: String::new(),
        folders: Vec::new(),
        substituted,
    };
    Some([tool(&requirement.tool, PathBuf::from(&substitute.path), true), tool(&substitute.needs, installer, false)])
}

/// The first program on the search path that is new enough.
async fn find(environment: &str, requirement: &Requirement, search_path: &OsStr) -> Result<Tool, PrepareError> {
    let mut rejected = Vec::new();
    for path in candidates(&requirement.programs, search_path) {
        match probe(&path, requirement, search_path).await {
            Ok(tool) if at_least(&tool.version, &requirement.minimum) => return Ok(tool),
            Ok(tool) => rejected.push(format!("{} is version {}", path.display(), tool.version)),
            Err(why) => rejected.push(format!("{} {why}", path.display())),
        }
    }
    Err(PrepareError::MissingTool {
        environment: environment.to_owned(),
        tool: requirement.programs.first().cloned().unwrap_or_default(),
        minimum: requirement.minimum.clone(),
        found: if rejected.is_empty() { "none was found on PATH".to_owned() } else { rejected.join("; ") },
        install: requirement.install.clone(),
    })
}

fn candidates(programs: &[String], search_path: &OsStr) -> Vec<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(search_path).filter(|folder| folder.is_absolute()).collect();
    let mut found: Vec<PathBuf> = Vec::new();
    for path in programs.iter().flat_map(|program| folders.iter().map(move |folder| folder.join(program))) {
        if path.is_file() && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Where programs are that may be there or not: the first of each name on the search path.
pub(crate) fn locate(programs: &[String], search_path: &OsStr) -> Vec<PathBuf> {
    programs.iter().filter_map(|name| candidates(std::slice::from_ref(name), search_path).into_iter().next()).collect()
}

/// Whether every sandbox has this folder on its search path already.
pub(crate) fn is_system_folder(folder: &Path) -> bool {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|it| folder == Path::new(it))
}

async fn probe(path: &Path, requirement: &Requirement, search_path: &OsStr) -> Result<Tool, String> {
    let mut command = Command::new(requirement.probe_with.as_deref().map_or(path.as_os_str(), OsStr::new));
    command.args(&requirement.probe);
    if requirement.probe_with.is_some() {
        command.arg(path);
    }
    let run = command.env("PATH", search_path).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(PROBE_TIMEOUT, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot be run: {error}")),
        Err(_) => return Err(format!("did not answer within {} s", PROBE_TIMEOUT.as_secs())),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.next().unwrap_or_default();
    if !output.status.success() || line.is_empty() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no output").to_owned();
        return Err(format!("does not work: {last}"));
    }
    let probe = serde_json::from_str(line).unwrap_or_else(|_| Probe {
        version: line.trim_start_matches(|letter: char| !letter.is_ascii_digit()).to_owned(),
        executable: None,
        folders: lines.map(PathBuf::from).collect(),
    });
    let path = probe.executable.unwrap_or_else(|| path.to_owned());
    let mut folders = probe.folders;
    if requirement.with_folder {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        folders.extend(real.parent().map(Path::to_owned));
    }
    Ok(Tool {
        name: requirement.tool.clone(),
        path,
        version: probe.version,
        folders: without_system_folders(folders),
        substituted: false,
    })
}

/// What is left of a list of paths after system folders, `/` and repetitions are taken out.
pub(crate) fn without_system_folders(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut left: Vec<PathBuf> = Vec::new();
    for path in paths {
        let shown = SYSTEM_FOLDERS.iter().any(|folder| path.starts_with(folder));
        let usable = path.is_absolute() && path.parent().is_some();
        if usable && !shown && !left.iter().any(|other| path.starts_with(other)) {
            left.push(path);
        }
    }
    left
}

/// Compares dotted versions number by number; what is not a number ends the comparison of that part.
fn at_least(version: &str, minimum: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        text.split('.')
            .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0))
            .collect()
    };
    let (version, minimum) = (numbers(version), numbers(minimum));
    let padded = |list: &[u64], index: usize| list.get(index).copied().unwrap_or(0);
    (0..version.len().max(minimum.len()))
        .map(|index| padded(&version, index).cmp(&padded(&minimum, index)))
        .find(|order| order.is_ne())
        .is_none_or(std::cmp::Ordering::is_gt)
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
