//! Puts secrets and config maps into the directories of an instance, as files no one else on this machine can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Component, Path};

use fission_executor::configuration::{File, Root};

use crate::instance::Directories;

/// Writes every file. `owner`: the host user of the instance, where it is not the platform's own; only that user can
/// read them. The instance sees them through a read-only mount, so that it cannot change what it owns.
pub(crate) fn place(files: &[File], directories: &Directories, owner: Option<u32>) -> io::Result<()> {
    for file in files {
        let root = match file.root {
            Root::Secrets => &directories.secrets,
            Root::Configs => &directories.configs,
        };
        place_file(file, root, owner).map_err(|error| io::Error::new(error.kind(), format!("{file:?}: {error}")))?;
    }
    Ok(())
}

fn place_file(file: &File, root: &Path, owner: Option<u32>) -> io::Result<()> {
    let mut at = root.to_owned();
    let mut parts = Path::new(&file.path).components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no path of a file below its root"));
        };
        at.push(name);
        if parts.peek().is_none() {
            break;
        }
        match DirBuilder::new().mode(0o700).create(&at) {
            Ok(()) => give(&at, owner)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && at.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&at)?;
    written.write_all(&file.content)?;
    give(&at, owner)
}

fn give(path: &Path, owner: Option<u32>) -> io::Result<()> {
    if owner.is_some() { chown(path, owner, owner) } else { Ok(()) }
}

/// The roots that would be missing inside an instance without a file tree of its own.
pub(crate) fn roots(files: &[File]) -> String {
    let mut roots: Vec<&str> = files.iter().map(|file| file.root.path()).collect();
    roots.sort_unstable();
    roots.dedup();
    roots.join(" and ")
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
