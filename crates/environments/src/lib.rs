//! The language environments this machine can run: which image names they answer to, what the host must have, and how
//! one is prepared so that its server can be started.
//!
//! The folders of `environments/` are embedded in the binary, so the binary alone suffices. [`Environments::resolve`]
//! turns an image name into a [`Definition`]; [`Environments::prepare`] makes its folder under the cache once and says
//! in a [`Runtime`] how to start a server and which host paths it needs to see.
//!
//! This crate never starts, sandboxes or specializes an instance; it knows no functions and no API objects.
//!
//! Start reading in [`definition`] (what a folder declares), then `prepare` (how it is made). `binary_server` is the
//! server of the `binary` environment, the only one written in Rust.
//!
//! Invariants:
//! * a prepared folder is complete or absent: it is built beside its final place and renamed;
//! * a prepared folder is never written again; its name holds a hash of everything it was made from;
//! * of two processes preparing the same environment one works and the other waits, then uses the result;
//! * no command goes through a shell.

pub mod binary_server;
pub mod definition;
mod host;
mod prepare;
mod progress;

use std::ffi::OsString;
use std::path::PathBuf;

use include_dir::{Dir, include_dir};

pub use definition::{Definition, DefinitionError};
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
}

/// How a prepared server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listen {
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
}

/// The catalog of environments.
#[derive(Debug)]
pub struct Environments {
    definitions: Vec<Definition>,
    options: Options,
}

impl Environments {
    /// Reads the embedded catalog. Touches no file.
    pub fn new(options: Options) -> Result<Self, DefinitionError> {
        let mut definitions = FOLDERS
            .dirs()
            .filter(|folder| folder.get_file(folder.path().join(definition::FILE)).is_some())
            .map(|folder| Definition::read(&FOLDERS, folder))
            .collect::<Result<Vec<_>, _>>()?;
        definitions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { definitions, options })
    }

    /// All environments, by name.
    pub fn list(&self) -> &[Definition] {
        &self.definitions
    }

    /// The environment that answers to an image name, with or without registry and tag: `fission/node-env:1.32`,
    /// `ghcr.io/fission/python-env`, `binary-env`. `None` for an image that is not built in.
    pub fn resolve(&self, image: &str) -> Option<&Definition> {
        let repository = definition::repository(image)?;
        self.definitions.iter().find(|definition| definition.images.iter().any(|name| name == repository))
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
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
