//! What an environment folder declares in its `environment.toml`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

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
    /// What its instances are.
    #[serde(default)]
    pub kind: Kind,
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
    /// How a server is started. A kind without servers has none.
    #[serde(default)]
    pub start: Start,
    /// How source is built; absent where there is nothing to build.
    pub build: Option<Build>,
    /// System calls its servers and builds need beside those that all may make.
    #[serde(default)]
    pub seccomp: Seccomp,
    /// Path and content of [`Self::files`], then of [`Self::shared`].
    #[serde(skip)]
    pub(crate) contents: Vec<(String, Content)>,
    /// The text this was read from; part of the hash of a prepared folder.
    #[serde(skip)]
    pub(crate) source: String,
}

/// A file of a folder: embedded, or read from a folder of the operator's.
pub(crate) type Content = Cow<'static, [u8]>;

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
    /// The program that is run with these arguments and the path of the one that was found, where that one cannot print
    /// all of it: `sh`.
    pub probe_with: Option<String>,
    /// What to do when it is missing or too old.
    pub install: String,
    /// A host without it will do: its placeholder is empty then, and who needs it says so.
    #[serde(default)]
    pub optional: bool,
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

/// What instances of an environment are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Processes of a server.
    #[default]
    Process,
    /// WebAssembly inside the platform's process.
    Wasm,
}

/// How a server is started.
#[derive(Clone, Debug, Default, Deserialize)]
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

/// System calls beside those that every environment may make.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seccomp {
    /// Names of system calls: `ptrace`. Which may be added is decided where instances are made.
    #[serde(default)]
    pub also: Vec<String>,
}

/// How the source of a package is built.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Repository names of builder images it answers to, without registry, organisation and tag: `node-builder`.
    #[serde(default)]
    pub images: Vec<String>,
    /// What the build command `build` stands for: program and arguments; the placeholders of [`Start::argv`].
    pub argv: Vec<String>,
    /// Environment variables; the same placeholders.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the platform's own process that builds get when they are set: settings of package managers.
    #[serde(default)]
    pub inherit: Vec<String>,
    /// Programs a build may use where the host has them.
    #[serde(default)]
    pub programs: Vec<String>,
}

/// An environment's folder is not as it must be. The path is that of the folder.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A folder of environments cannot be read.
    #[error("the folder of environments {folder} cannot be read: {why}")]
    Folder {
        /// The folder.
        folder: String,
        /// What is wrong.
        why: String,
    },
    /// Its `environment.toml` cannot be read.
    #[error("{environment}/environment.toml: {why}")]
    Unreadable {
        /// Its folder.
        environment: String,
        /// What is wrong.
        why: String,
    },
    /// It names a file that is not there.
    #[error("{environment}/environment.toml lists {file}, which is not there")]
    MissingFile {
        /// Its folder.
        environment: String,
        /// The file.
        file: String,
    },
}

impl Definition {
    /// One of those that are part of this binary.
    pub(crate) fn embedded(all: &Dir<'static>, folder: &Dir<'static>) -> Result<Self, DefinitionError> {
        let name = folder.path().to_string_lossy().into_owned();
        Self::read(&name, &format!("environments/{name}"), &|path| {
            Ok(all.get_file(path).map(|file| Cow::Borrowed(file.contents())))
        })
    }

    /// One of the operator's: a folder beside others, which may share files of those and of the embedded ones.
    pub(crate) fn of_folder(folder: &Path, embedded: &Dir<'static>) -> Result<Self, DefinitionError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let all = folder.parent().unwrap_or(Path::new("."));
        Self::read(&name, &folder.to_string_lossy(), &|path| match std::fs::read(all.join(path)) {
            Ok(content) => Ok(Some(Cow::Owned(content))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(embedded.get_file(path).map(|file| Cow::Borrowed(file.contents())))
            }
            Err(error) => Err(format!("{path} cannot be read: {error}")),
        })
    }

    /// `file` gives the content of a path that begins with the name of a folder.
    fn read(
        name: &str,
        folder: &str,
        file: &dyn Fn(&str) -> Result<Option<Content>, String>,
    ) -> Result<Self, DefinitionError> {
        let unreadable = |why: String| DefinitionError::Unreadable { environment: folder.to_owned(), why };
        let content = file(&format!("{name}/{FILE}")).map_err(unreadable)?;
        let content = content.ok_or_else(|| unreadable("is not there".to_owned()))?;
        let source = String::from_utf8(content.into_owned()).map_err(|error| unreadable(error.to_string()))?;
        let mut definition: Definition = toml::from_str(&source).map_err(|error| unreadable(error.to_string()))?;
        if definition.start.argv.is_empty() != (definition.kind == Kind::Wasm) {
            let why = match definition.kind {
                Kind::Process => "[start] has no argv, so there is nothing to start",
                Kind::Wasm => "kind = \"wasm\" has no server, so it has no [start]",
            };
            return Err(unreadable(why.to_owned()));
        }
        let own = definition.files.iter().map(|file| (file.clone(), format!("{name}/{file}")));
        let shared = definition.shared.iter().map(|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            (name.to_owned(), path.clone())
        });
        let mut contents = Vec::new();
        for (name, path) in own.chain(shared) {
            let Some(content) = file(&path).map_err(unreadable)? else {
                return Err(DefinitionError::MissingFile { environment: folder.to_owned(), file: name });
            };
            contents.push((name, content));
        }
        definition.contents = contents;
        name.clone_into(&mut definition.name);
        definition.source = source;
        Ok(definition)
    }

    /// Whether an image is one of its runtime, or of its builder.
    pub(crate) fn answers_to(&self, image: &str) -> bool {
        let builders = self.build.iter().flat_map(|build| &build.images);
        repository(image).is_some_and(|name| self.images.iter().chain(builders).any(|known| known == name))
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
