//! What an image holds: paths, and what lies there. Nothing can be put outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::tar::{Header, Kind};

/// Links in a row after which they are taken for a circle.
const MOST_LINKS: usize = 16;

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Bytes(Vec<u8>),
    Host(PathBuf),
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Folder { mode: u32 },
    File { mode: u32, size: u64, source: Source },
    Link { target: String },
}

/// The files, folders and links of an image, by path. Paths are sorted, so equal contents make equal layers.
#[derive(Debug, Default)]
pub(super) struct Contents {
    entries: BTreeMap<String, Entry>,
}

impl Contents {
    /// Everything, parents before what lies in them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Whether something lies at a path, without following a link in its last place.
    pub(super) fn has(&self, path: &str) -> bool {
        self.resolved(path).is_ok_and(|path| self.entries.contains_key(&path))
    }

    /// The host's files that were put in.
    pub(super) fn host_files(&self) -> BTreeSet<PathBuf> {
        let host = |entry: &Entry| match entry {
            Entry::File { source: Source::Host(path), .. } => Some(path.clone()),
            _ => None,
        };
        self.entries.values().filter_map(host).collect()
    }

    /// Makes a folder; one that is there gets the mode.
    pub(super) fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.put(path, Entry::Folder { mode })
    }

    /// Makes a file of a text.
    pub(super) fn text(&mut self, path: &str, text: &str) -> Result<()> {
        self.bytes(path, 0o644, text.as_bytes().to_vec())
    }

    fn bytes(&mut self, path: &str, mode: u32, bytes: Vec<u8>) -> Result<()> {
        self.put(path, Entry::File { mode, size: bytes.len() as u64, source: Source::Bytes(bytes) })
    }

    /// Makes a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.put(path, Entry::Link { target: target.to_owned() })
    }

    /// Puts a file of the host in, behind links. Everyone may read it, and run it if its owner may.
    pub(super) fn host_file(&mut self, host: &Path, path: &str) -> Result<()> {
        let real = host.canonicalize().with_context(|| format!("cannot find {}", host.display()))?;
        let metadata = fs::metadata(&real)?;
        ensure!(metadata.is_file(), "{} is no file", host.display());
        let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        if path.ends_with(".pyc") {
            return self.bytes(path, mode, without_time(fs::read(&real)?));
        }
        self.put(path, Entry::File { mode, size: metadata.len(), source: Source::Host(real) })
    }

    /// Puts a file of the host in, for everyone to run.
    pub(super) fn executable(&mut self, path: &str, host: &Path) -> Result<()> {
        let bytes = fs::read(host).with_context(|| format!("cannot read {}", host.display()))?;
        self.bytes(path, 0o755, bytes)
    }

    /// Puts what lies in a folder of the host in. `keep` decides by path within the folder.
    pub(super) fn host_folder(&mut self, host: &Path, path: &str, keep: &dyn Fn(&str) -> bool) -> Result<()> {
        let root = host.canonicalize().with_context(|| format!("cannot find {}", host.display()))?;
        self.folder(path, 0o755)?;
        self.host_folder_below(&root, &root, path, "", keep)
    }

    fn host_folder_below(
        &mut self,
        root: &Path,
        host: &Path,
        path: &str,
        below: &str,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        for entry in fs::read_dir(host).with_context(|| format!("cannot list {}", host.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { bail!("{} is not UTF-8", entry.path().display()) };
            let below = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            if !keep(&below) {
                continue;
            }
            let (from, to) = (entry.path(), format!("{path}/{name}"));
            let kind = entry.file_type()?;
            if kind.is_symlink() && stays_within(root, &from)? {
                let target = fs::read_link(&from)?;
                self.link(&to, target.to_str().context("a link's target is not UTF-8")?)?;
                continue;
            }
            // What a link outside leads to is put in its place; without it, it leads nowhere here either.
            let Ok(real) = from.canonicalize() else { continue };
            if real.is_dir() {
                ensure!(kind.is_dir() || !root.starts_with(&real), "{} leads to what it lies in", from.display());
                self.folder(&to, 0o755)?;
                self.host_folder_below(root, &real, &to, &below, keep)?;
            } else if real.is_file() {
                self.host_file(&real, &to)?;
            }
        }
        Ok(())
    }

    /// Where a path leads, behind the links on the way to it.
    fn resolved(&self, path: &str) -> Result<String> {
        let mut left: Vec<String> = parts(path)?.into_iter().rev().collect();
        ensure!(!left.is_empty(), "an entry without a name");
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                ensure!(done.pop().is_some(), "{path} leads out of the image");
                continue;
            }
            done.push(part);
            let Some(Entry::Link { target }) = self.entries.get(&done.join("/")).filter(|_| !left.is_empty()) else {
                continue;
            };
            links += 1;
            ensure!(links <= MOST_LINKS, "{path} leads in a circle");
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            left.extend(pieces(target).rev().map(str::to_owned));
        }
        Ok(done.join("/"))
    }

    fn put(&mut self, path: &str, entry: Entry) -> Result<()> {
        let path = self.resolved(path)?;
        for (at, _) in path.match_indices('/') {
            let parent = self.entries.entry(path[..at].to_owned()).or_insert(Entry::Folder { mode: 0o755 });
            ensure!(matches!(parent, Entry::Folder { .. }), "{path} would lie in {}, which is no folder", &path[..at]);
        }
        let both_folders = |there: &Entry| matches!((there, &entry), (Entry::Folder { .. }, Entry::Folder { .. }));
        if let Some(there @ Entry::Folder { .. }) = self.entries.get(&path) {
            ensure!(both_folders(there), "{path} is a folder already");
        }
        self.entries.insert(path, entry);
        Ok(())
    }
}

/// An entry as tar sees it.
pub(super) fn header<'a>(path: &'a str, entry: &'a Entry) -> Header<'a> {
    match entry {
        Entry::Folder { mode } => Header { path, kind: Kind::Folder, mode: *mode, size: 0, target: "" },
        Entry::File { mode, size, .. } => Header { path, kind: Kind::File, mode: *mode, size: *size, target: "" },
        Entry::Link { target } => Header { path, kind: Kind::Link, mode: 0o777, size: 0, target },
    }
}

fn pieces(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// The names of a path within the image. What would lead out is an error, not cut off.
fn parts(path: &str) -> Result<Vec<String>> {
    ensure!(!pieces(path).any(|part| part == ".."), "{path} leads out of the image");
    ensure!(!path.contains('\0'), "a path with a NUL");
    Ok(pieces(path).map(str::to_owned).collect())
}

/// Whether a link is relative and never leaves the folder.
fn stays_within(root: &Path, link: &Path) -> Result<bool> {
    let target = fs::read_link(link)?;
    let mut at = link.parent().unwrap_or(root).to_owned();
    for part in target.components() {
        match part {
            Component::Normal(name) => at.push(name),
            Component::ParentDir => drop(at.pop()),
            Component::CurDir => {}
            _ => return Ok(false),
        }
        if !at.starts_with(root) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compiled Python that says when its source was made: in an image that is never, and anything else would be stale.
fn without_time(mut compiled: Vec<u8>) -> Vec<u8> {
    // Four bytes each: version, flags, time, size. With other flags it is a hash, not a time.
    if compiled.get(4..8) == Some(&[0; 4]) && compiled.len() >= 16 {
        compiled[8..12].fill(0);
    }
    compiled
}

#[cfg(test)]
#[path = "contents_tests.rs"]
mod tests;
