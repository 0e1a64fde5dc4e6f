//! Reading a spec directory: which files, which documents, and where each object stands.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kinds::managed_kind;
use crate::failure::{Doing, Failure, Outcome};
use crate::yaml;

/// The directory when `--specdir` is not given.
pub(crate) const DEFAULT_DIR: &str = "specs";
/// The file that gives a spec directory its uid.
pub(crate) const CONFIG_FILE: &str = "fission-deployment-config.yaml";
/// Files listed here, in the syntax of `.gitignore`, are not read.
const IGNORE_FILE: &str = ".specignore";

/// Files to archive for a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchiveUploadSpec {
    pub(crate) name: String,
    /// Where `include` starts; the parent of the spec directory when empty.
    #[serde(default)]
    pub(crate) rootdir: String,
    #[serde(default)]
    pub(crate) include: Vec<String>,
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
}

/// One object of a file.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) kind: String,
    /// Empty when the document names none.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) value: Value,
    /// `file:line`.
    pub(crate) place: String,
}

/// A spec directory as read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Specs {
    /// The parent of the directory: where archives start.
    pub(crate) root: PathBuf,
    pub(crate) name: String,
    /// The ownership key; without one nothing can be applied.
    pub(crate) uid: String,
    pub(crate) items: Vec<Item>,
    pub(crate) archives: Vec<(ArchiveUploadSpec, String)>,
    pub(crate) warnings: Vec<String>,
}

impl Specs {
    /// Reads a directory. `ignore_file` must exist when it is given.
    pub(crate) fn read(dir: &Path, ignore_file: Option<&Path>) -> Outcome<Self> {
        if !dir.is_dir() {
            return Err(Failure::new(format_args!("there is no spec directory {}", dir.display()))
                .hint("make one with: fission spec init"));
        }
        let ignored = ignored(dir, ignore_file)?;
        let root = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut specs = Specs { root: root.to_owned(), ..Specs::default() };
        let mut seen = HashMap::new();
        let walker = WalkBuilder::new(dir).standard_filters(false).sort_by_file_name(Ord::cmp).build();
        for entry in walker {
            let entry = entry.doing(format_args!("cannot read {}", dir.display()))?;
            let path = entry.path();
            let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            if !is_file || !is_yaml || ignored.matched_path_or_any_parents(path, false).is_ignore() {
                continue;
            }
            let text = fs::read_to_string(path).doing(format_args!("cannot read {}", path.display()))?;
            let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
            for document in yaml::documents(&text) {
                let place = format!("{shown}:{}", document.line);
                specs.take(document.text, place, &mut seen)?;
            }
        }
        Ok(specs)
    }

    fn take(&mut self, text: &str, place: String, seen: &mut HashMap<(String, String, String), String>) -> Outcome {
        let value = yaml::value_of(text).map_err(|failure| failure.while_doing(&place))?;
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "DeploymentConfig" => {
                let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
                (self.name, self.uid) = (text("name"), text("uid"));
                return Ok(());
            }
            "ArchiveUploadSpec" => {
                let archive: ArchiveUploadSpec = serde_json::from_value(value)
                    .map_err(|error| Failure::new(format_args!("{place}: this ArchiveUploadSpec is wrong: {error}")))?;
                once(seen, (kind, String::new(), archive.name.clone()), &place)?;
                self.archives.push((archive, place));
                return Ok(());
            }
            "" => return Err(Failure::new(format_args!("{place}: this document has no kind"))),
            _ => {}
        }
        if managed_kind(&kind).is_none() {
            self.warnings.push(format!("{place}: kind {kind} is not managed by specs; it is left alone"));
            return Ok(());
        }
        let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        if name.is_empty() {
            return Err(Failure::new(format_args!("{place}: this {kind} has no metadata.name")));
        }
        once(seen, (kind.clone(), namespace.clone(), name.clone()), &place)?;
        self.items.push(Item { kind, namespace, name, value, place });
        Ok(())
    }

    /// Where an object of this name is, if it is here.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&str> {
        if kind == "ArchiveUploadSpec" {
            return self.archives.iter().find(|(archive, _)| archive.name == name).map(|(_, place)| place.as_str());
        }
        let found =
            self.items.iter().find(|item| item.kind == kind && item.namespace == namespace && item.name == name);
        found.map(|item| item.place.as_str())
    }

    /// Gives every object a namespace: its own, else `default`; `forced` replaces them all.
    pub(crate) fn settle_namespaces(&mut self, default: &str, forced: bool) -> Outcome {
        let mut seen = HashMap::new();
        for item in &mut self.items {
            let before = std::mem::take(&mut item.namespace);
            item.namespace = if before.is_empty() || forced { default.to_owned() } else { before.clone() };
            once(&mut seen, (item.kind.clone(), item.namespace.clone(), item.name.clone()), &item.place)?;
            let namespace = Value::String(item.namespace.clone());
            item.value["metadata"]["namespace"] = namespace.clone();
            if !forced {
                continue;
            }
            // References carry the namespace too, and never cross namespaces.
            let spec = &mut item.value["spec"];
            for pointer in ["/environment/namespace", "/package/packageref/namespace"] {
                if let Some(reference) = spec.pointer_mut(pointer) {
                    *reference = namespace.clone();
                }
            }
            for list in ["secrets", "configmaps"] {
                for reference in spec[list].as_array_mut().into_iter().flatten() {
                    reference["namespace"] = namespace.clone();
                }
            }
            if item.kind == "KubernetesWatchTrigger" {
                spec["namespace"] = namespace.clone();
            }
        }
        Ok(())
    }

    /// The objects of one kind.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.kind == kind)
    }
}

fn once(seen: &mut HashMap<(String, String, String), String>, key: (String, String, String), place: &str) -> Outcome {
    let (kind, _, name) = key.clone();
    match seen.insert(key, place.to_owned()) {
        Some(first) => Err(Failure::new(format_args!("{place}: {kind} '{name}' is already defined at {first}"))),
        None => Ok(()),
    }
}

fn ignored(dir: &Path, given: Option<&Path>) -> Outcome<Gitignore> {
    let file = match given {
        Some(file) if !file.exists() => {
            return Err(Failure::new(format_args!("the ignore file {} does not exist", file.display())));
        }
        Some(file) => file.to_owned(),
        None => dir.join(IGNORE_FILE),
    };
    let mut builder = GitignoreBuilder::new(dir);
    if file.exists()
        && let Some(error) = builder.add(&file)
    {
        return Err(Failure::new(format_args!("cannot read {}: {error}", file.display())));
    }
    builder.build().doing(format_args!("cannot use {}", file.display()))
}
