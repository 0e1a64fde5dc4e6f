//! The language environments this machine can run: which image names they answer to, what the host must have, and how
//! one is prepared so that its server can be started.
//!
//! The folders of `environments/` are embedded in the binary, so the binary alone suffices. [`Environments::resolve`]
//! turns an image name into a [`Definition`]; [`Environments::prepare`] makes its folder under the cache once and says
//! in a [`Runtime`] how to start a server and which host paths it needs to see.
//!
//! This crate never starts, sandboxes or specializes an instance; it knows no functions and no API objects.
//!
//! Start reading in [`definition`] (what a folder declares), then `prepare` (how it is made). `binary_server` and
//! `rust_server` are the servers of the environments of these names, the only ones written here; `serving` is what both share.
//!
//! Invariants:
//! * a prepared folder is complete or absent: it is built beside its final place and renamed;
//! * a prepared folder is never written again; its name holds a hash of everything it was made from;
//! * of two processes preparing the same environment one works and the other waits, then uses the result;
//! * no command goes through a shell.

pub mod binary_server;
pub mod definition;
mod executable;
mod host;
mod prepare;
mod progress;
pub mod rust_server;
mod serving;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

pub use definition::{Definition, DefinitionError, Kind};
pub use prepare::PrepareError;
pub use progress::{LogProgress, Progress, Step};

/// The folders of `environments/` as they were when this binary was built.
static FOLDERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../environments");

/// Where the catalog works and what it may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Prepared folders are kept here; made when missing.
    pub cache_dir: PathBuf,
    /// Where programs such as `node` and `python3` are looked for: the value of `PATH`.
    pub search_path: OsString,
    /// The executable that answers to the hidden subcommand [`binary_server::SUBCOMMAND`], normally this one.
    pub fission: PathBuf,
    /// Folders of environments beside the embedded ones; one that answers to the same image wins.
    pub folders: Vec<PathBuf>,
    /// The platform's own environment variables. Builds get those that are named for them, and no others.
    pub variables: HashMap<String, String>,
}

impl Options {
    /// The embedded environments alone, and builds that inherit nothing.
    pub fn new(cache_dir: impl Into<PathBuf>, search_path: impl Into<OsString>, fission: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            search_path: search_path.into(),
            fission: fission.into(),
            folders: Vec::new(),
            variables: HashMap::new(),
        }
    }
}

/// How a prepared server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listen {
    #[default]
    /// On the unix socket whose path is in `FISSION_SOCKET`.
    Unix,
    /// On TCP `0.0.0.0:$RUNTIME_PORT`.
    Tcp,
}

/// A prepared environment: how to start one server of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Name of the environment folder: `nodejs`.
    pub name: String,
    /// Program and arguments. The program is an absolute path.
    pub argv: Vec<String>,
    /// Environment variables the server needs. Variables of the Environment object come after these and win.
    pub env: Vec<(String, String)>,
    /// Host files and folders the server reads, to be shown at the same path, read-only. System folders such as `/usr`
    /// and `/lib` are not repeated here.
    pub read_only: Vec<PathBuf>,
    /// How it listens.
    pub listen: Listen,
    /// System calls it needs beside those that every server may make, by name.
    pub system_calls: Vec<String>,
}

/// How source is built for an environment: what a build command finds around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildTools {
    /// Name of the environment folder: `nodejs`.
    pub name: String,
    /// What the command `build` stands for.
    pub argv: Vec<String>,
    /// Environment variables of every build. Those of the Environment object come after these and win.
    pub env: Vec<(String, String)>,
    /// Folders of the language's programs, for the search path, before the system's.
    pub path: Vec<PathBuf>,
    /// Host files and folders a build reads, to be shown at the same path, read-only.
    pub read_only: Vec<PathBuf>,
    /// System calls it needs beside those that every build may make, by name.
    pub system_calls: Vec<String>,
}

/// The catalog of environments.
#[derive(Debug)]
pub struct Environments {
    definitions: Vec<Definition>,
    options: Options,
}

impl Environments {
    /// Reads the embedded catalog and the folders of the options.
    pub fn new(options: Options) -> Result<Self, DefinitionError> {
        let mut definitions = Vec::new();
        for folder in &options.folders {
            for folder in environments_in(folder)? {
                definitions.push(Definition::of_folder(&folder, &FOLDERS)?);
            }
        }
        let embedded = FOLDERS
            .dirs()
            .filter(|folder| folder.get_file(folder.path().join(definition::FILE)).is_some())
            .map(|folder| Definition::embedded(&FOLDERS, folder));
        let mut embedded = embedded.collect::<Result<Vec<_>, _>>()?;
        embedded.retain(|definition| !definitions.iter().any(|other| other.name == definition.name));
        embedded.sort_by(|a, b| a.name.cmp(&b.name));
        definitions.extend(embedded);
        Ok(Self { definitions, options })
    }

    /// All environments: the operator's, then the embedded ones, by name.
    pub fn list(&self) -> &[Definition] {
        &self.definitions
    }

    /// The environment that answers to an image name, with or without registry and tag: `fission/node-env:1.32`,
    /// `ghcr.io/fission/python-env`, `binary-env`. `None` for an image that is not built in.
    pub fn resolve(&self, image: &str) -> Option<&Definition> {
        let repository = definition::repository(image)?;
        self.definitions.iter().find(|definition| definition.images.iter().any(|name| name == repository))
    }

    /// The environment whose builder answers to an image name: that of a builder, or of the runtime itself.
    pub fn resolve_builder(&self, image: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.answers_to(image))
    }

    /// Whether an image's instances are WebAssembly inside the platform's process.
    pub fn is_wasm(&self, image: &str) -> bool {
        self.resolve(image).is_some_and(|definition| definition.kind == Kind::Wasm)
    }

    /// The short image names that [`Self::resolve`] knows, for messages: `fission/binary-env`, ...
    pub fn known_images(&self) -> Vec<String> {
        self.definitions.iter().flat_map(|d| d.images.iter().map(|name| format!("fission/{name}"))).collect()
    }

    /// Whether this host has the programs an environment needs; the error says what to install. Runs each of them once.
    pub async fn check_host(&self, definition: &Definition) -> Result<(), PrepareError> {
        host::find_all(definition, &self.options.search_path).await.map(drop)
    }

    /// Makes what servers of an environment need, unless it is there already, and says how to start one.
    ///
    /// Safe to call at once from several tasks and processes. Dropping the future ends the running command; the next
    /// call starts afresh.
    pub async fn prepare(&self, image: &str, progress: &dyn Progress) -> Result<Runtime, PrepareError> {
        let definition = self
            .resolve(image)
            .ok_or_else(|| PrepareError::UnknownImage { image: image.to_owned(), known: self.known_images() })?;
        prepare::prepare(definition, &self.options, progress).await
    }

    /// Makes what builds for an environment need, unless it is there already, and says how to run one. `image` is that of
    /// a builder or of a runtime. As safe to call as [`Self::prepare`].
    pub async fn prepare_build(&self, image: &str, progress: &dyn Progress) -> Result<BuildTools, PrepareError> {
        let definition = self
            .resolve_builder(image)
            .ok_or_else(|| PrepareError::UnknownImage { image: image.to_owned(), known: self.known_builders() })?;
        let none = || PrepareError::NoBuilder { environment: definition.name.clone() };
        let build = definition.build.as_ref().ok_or_else(none)?;
        prepare::prepare_build(definition, build, &self.options, progress).await
    }

    fn known_builders(&self) -> Vec<String> {
        let builds = self.definitions.iter().filter_map(|definition| definition.build.as_ref());
        builds.flat_map(|build| build.images.iter().map(|name| format!("fission/{name}"))).collect()
    }
}

/// Whether an image is one of those built in whose instances are WebAssembly inside the platform's process, which no
/// container can be.
pub fn is_built_in_wasm(image: &str) -> bool {
    static BUILT_IN: LazyLock<Option<Environments>> =
        LazyLock::new(|| Environments::new(Options::new(PathBuf::new(), "", PathBuf::new())).ok());
    BUILT_IN.as_ref().is_some_and(|environments| environments.is_wasm(image))
}

/// The folders in a folder that are environments, by name.
fn environments_in(folder: &Path) -> Result<Vec<PathBuf>, DefinitionError> {
    let unreadable = |error: std::io::Error| DefinitionError::Folder {
        folder: folder.display().to_string(),
        why: error.to_string(),
    };
    let folder = folder.canonicalize().map_err(unreadable)?;
    if folder.join(definition::FILE).is_file() {
        return Ok(vec![folder]);
    }
    let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?;
    let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    found.retain(|path| path.join(definition::FILE).is_file());
    found.sort();
    if found.is_empty() {
        let why = format!("neither it nor a folder in it has an {}", definition::FILE);
        return Err(DefinitionError::Folder { folder: folder.display().to_string(), why });
    }
    Ok(found)
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
