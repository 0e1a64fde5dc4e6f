//! What an environment folder declares in its `environment.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use include_dir::Dir;
use serde::Deserialize;

use crate::Listen;

/// The file that makes a folder an environment.
pub(crate) const FILE: &str = "environment.toml";

/// The organisation whose images we answer to.
const ORGANISATION: &str = "fission";

/// One environment of the catalog.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, which is the name of its folder: `nodejs`.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Repository names it answers to, without registry, organisation and tag: `node-env`.
    pub images: Vec<String>,
    /// Files of the folder that its server needs, relative to it.
    #[serde(default)]
    pub files: Vec<String>,
    /// Files of other environments' folders that its server needs too (`python/load.py`); they come to lie beside its own.
    #[serde(default)]
    pub shared: Vec<String>,
    /// Programs the host must have.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// What is done once, in order, after the files are in place.
    #[serde(default)]
    pub prepare: Vec<Preparation>,
    /// How a server is started.
    pub start: Start,
    /// Path and content of [`Self::files`], then of [`Self::shared`].
    #[serde(skip)]
    pub(crate) contents: Vec<(String, &'static [u8])>,
    /// The text this was read from; part of the hash of a prepared folder.
    #[serde(skip)]
    pub(crate) source: &'static str,
}

/// A program the host must have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// What it is called here: `{node}` in commands stands for its path.
    pub tool: String,
    /// File names it is looked for on the search path, best first.
    pub programs: Vec<String>,
    /// Oldest version accepted: `18.0`.
    pub minimum: String,
    /// Arguments that make it print its version (letters before it do not count) and below it, one a line, the folders
    /// it needs to see to run; or one line of JSON with `version`, `executable` (the real one behind a version
    /// switcher's shim) and `folders`.
    pub probe: Vec<String>,
    /// What to do when it is missing or too old.
    pub install: String,
    /// The folder of the real executable belongs to it: shown wherever it is.
    #[serde(default)]
    pub with_folder: bool,
    /// What takes its place on a host without it.
    pub substitute: Option<Substitute>,
}

/// A program that the preparation itself installs on a host without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Substitute {
    /// The program that installs it, looked for on the search path; `{name}` in commands stands for its path.
    pub needs: String,
    /// Where it will be: `{home}/node_modules/...`.
    pub path: String,
}

/// One step of a preparation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// What it does, for people: `Installing express`.
    pub step: String,
    /// Ways to do it, best first.
    pub ways: Vec<Way>,
    /// Done only where this tool is missing and has a [`Substitute`].
    pub only_without: Option<String>,
}

/// One way to do a step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Commands run one after the other in the folder: program and arguments, no shell. `{home}` is the folder,
    /// `{scratch}` a folder that is thrown away afterwards, `{tool}` a required tool.
    pub run: Vec<Vec<String>>,
    /// Output that means this way is not available on this host and the next is tried.
    #[serde(default)]
    pub unavailable: Vec<String>,
}

/// How a server is started.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Program and arguments. `{home}` is the prepared folder, `{fission}` our own executable, `{tool}` a required tool.
    pub argv: Vec<String>,
    /// Environment variables; the same placeholders.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How it listens.
    pub listen: Listen,
}

/// A folder of `environments/` is not as it must be. A fault of this build, not of the user.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Its `environment.toml` cannot be read.
    #[error("environments/{environment}/environment.toml of this build: {why}")]
    Unreadable {
        /// Its folder.
        environment: String,
        /// What is wrong.
        why: String,
    },
    /// It names a file that is not there.
    #[error("environments/{environment}/environment.toml of this build lists {file}, which is not there")]
    MissingFile {
        /// Its folder.
        environment: String,
        /// The file.
        file: String,
    },
}

impl Definition {
    pub(crate) fn read(all: &Dir<'static>, folder: &Dir<'static>) -> Result<Self, DefinitionError> {
        let name = folder.path().to_string_lossy().into_owned();
        let unreadable = |why: String| DefinitionError::Unreadable { environment: name.clone(), why };
        let source = folder
            .get_file(folder.path().join(FILE))
            .and_then(|file| file.contents_utf8())
            .ok_or_else(|| unreadable("is not there or not UTF-8".to_owned()))?;
        let mut definition: Definition = toml::from_str(source).map_err(|error| unreadable(error.to_string()))?;
        let own = definition.files.iter().map(|file| (file.clone(), folder.path().join(file)));
        let shared = definition.shared.iter().map(|file| {
            let name = file.rsplit('/').next().unwrap_or(file);
            (name.to_owned(), PathBuf::from(file))
        });
        for (file, path) in own.chain(shared) {
            let Some(content) = all.get_file(path) else {
                return Err(DefinitionError::MissingFile { environment: name, file });
            };
            definition.contents.push((file, content.contents()));
        }
        definition.name = name;
        definition.source = source;
        Ok(definition)
    }
}

/// The repository name of an image of our organisation (or of none), without registry, tag and digest.
pub(crate) fn repository(image: &str) -> Option<&str> {
    let without_digest = image.split('@').next().unwrap_or_default();
    let (path, last) = without_digest.rsplit_once('/').unwrap_or(("", without_digest));
    let ours = path.is_empty() || path == ORGANISATION || path.ends_with(&format!("/{ORGANISATION}"));
    let name = last.split(':').next().unwrap_or_default();
    (ours && !name.is_empty()).then_some(name)
}
