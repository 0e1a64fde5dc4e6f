//! What is read from declarations and packages to load a function.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use fission_api::labels::{ALLOWED_HOSTS, REQUESTS_PER_STORE};
use fission_api::{Environment, literal_variables};
use fission_executor::backend::Load;
use fission_executor::configuration::{Configuration, File, Root};

use crate::artifacts::private;
use crate::hosts::AllowedHosts;
use crate::instance::Files;

/// Requests one store serves where neither the function nor the component says it. Enough that making stores costs nothing,
/// and what a component leaks ends some time.
const DEFAULT_REUSE: u32 = 1_000;
/// Where a component finds the folder of its package.
const PACKAGE: &str = "/userfunc/deployarchive";

/// The file that is the component, and the name of its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) key: String,
    /// How it is called in messages.
    pub(crate) name: String,
    /// The package's folder, where it is one.
    pub(crate) folder: Option<PathBuf>,
}

/// Finds the component in a function's package.
pub(crate) fn program(load: &Load) -> Result<Program, String> {
    let (path, digest) = (&load.code.path, &load.code.digest);
    if !path.is_dir() {
        let name = "the package".to_owned();
        return Ok(Program { file: path.clone(), key: digest.clone(), name, folder: None });
    }
    let entry = &load.function.spec.package.function_name;
    let name = match entry.as_str() {
        "" => the_only_one(path)?,
        entry => named(path, entry)?,
    };
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let key = format!("{digest}-{:016x}", hasher.finish());
    Ok(Program { file: path.join(&name), key, name, folder: Some(path.clone()) })
}

fn the_only_one(folder: &Path) -> Result<String, String> {
    let mut found = components(folder)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err("the package has no file that ends in .wasm at its top".to_owned()),
        _ => Err(format!("the package has several components, {}; name one with --entrypoint", found.join(", "))),
    }
}

fn named(folder: &Path, entry: &str) -> Result<String, String> {
    let plain = Path::new(entry).components().all(|part| matches!(part, Component::Normal(_)));
    let names = [entry.to_owned(), format!("{entry}.wasm")];
    if let Some(name) = names.into_iter().find(|name| plain && folder.join(name).is_file()) {
        return Ok(name);
    }
    let found = components(folder)?;
    let found = if found.is_empty() { "no .wasm file at its top".to_owned() } else { found.join(", ") };
    Err(format!("the package has no component {entry}, the function's entry point; it has {found}"))
}

fn components(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("the package cannot be read: {error}"))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".wasm")).collect();
    names.sort();
    Ok(names)
}

/// What a function's annotations say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) hosts: AllowedHosts,
    /// Requests one store serves, where the function says it.
    pub(crate) reuse: Option<u32>,
}

/// Reads a function's annotations.
pub(crate) fn wishes(annotations: Option<&BTreeMap<String, String>>) -> Result<Wishes, String> {
    let find = |name: &str| annotations.and_then(|all| all.get(name));
    let hosts = find(ALLOWED_HOSTS).map(|text| AllowedHosts::parse(text)).transpose();
    let hosts = hosts.map_err(|why| format!("annotation {ALLOWED_HOSTS}: {why}"))?.unwrap_or_default();
    let number =
        |text: &String| {
            text.trim().parse().ok().filter(|reuse| *reuse > 0).ok_or_else(|| {
                format!("annotation {REQUESTS_PER_STORE}: {text:?} is not a number of requests, 1 or more")
            })
        };
    let reuse = find(REQUESTS_PER_STORE).map(number).transpose()?;
    Ok(Wishes { hosts, reuse })
}

/// Requests one store serves: what the function says, else what the component says of itself.
pub(crate) fn reuse(wished: Option<u32>, own: Option<u32>) -> u32 {
    wished.or(own).unwrap_or(DEFAULT_REUSE)
}

/// The variables a component starts with: those of the environment's pod and container, then the function's own.
pub(crate) fn variables(
    environment: &Environment,
    own: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, String> {
    let runtime = &environment.spec.runtime;
    let declared = literal_variables(runtime.podspec.as_ref(), runtime.container.as_ref())?;
    let mut all: BTreeMap<String, String> = declared.into_iter().collect();
    all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(all.into_iter().collect())
}

/// The folders a component sees.
pub(crate) fn folders(
    program: &Program,
    configuration: &Configuration,
    files: Option<&Files>,
) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<(PathBuf, String)> = Vec::new();
    if let Some(folder) = &program.folder {
        folders.push((folder.clone(), PACKAGE.to_owned()));
    }
    for root in [Root::Secrets, Root::Configs] {
        if let Some(Files(at)) = files.filter(|_| configuration.files.iter().any(|file| file.root == root)) {
            folders.push((below(at, root), root.path().to_owned()));
        }
    }
    folders
}

/// Writes secrets and config maps where only this user can read them; the component sees them read-only.
pub(crate) fn place(files: &[File], at: PathBuf) -> Result<Files, String> {
    let failed = |error: std::io::Error| format!("could not be given its secrets and config maps: {error}");
    private(&at).map_err(failed)?;
    // From here on they are removed whatever happens.
    let placed = Files(at);
    for file in files {
        let path = below(&placed.0, file.root).join(&file.path);
        if !Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("could not be given {file:?}: it is no path of a file below its root"));
        }
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        let written = fs::File::options().write(true).create_new(true).mode(0o400).open(&path);
        written.and_then(|mut written| written.write_all(&file.content)).map_err(failed)?;
    }
    Ok(placed)
}

fn below(at: &Path, root: Root) -> PathBuf {
    at.join(root.path().trim_start_matches('/'))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
