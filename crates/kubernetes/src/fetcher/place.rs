//! Files in directories that a stranger's process can write to as well.
//!
//! A name is only ever made, never opened or followed: making it where something is already fails.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};

/// Directories below one another that are followed.
const MAX_DEPTH: usize = 128;

/// Whether a name is that of something directly in a directory.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

/// Puts code, a file or a directory, at a place that is not there yet. Everyone in the pod may read it: the environment may
/// be another user.
///
/// It appears at once, so that nobody sees half of it.
pub(super) fn place(code: &Path, target: &Path) -> io::Result<()> {
    let parent = target.parent().unwrap_or(Path::new("/"));
    let staging = tempfile::Builder::new().prefix(".fetching-").tempdir_in(parent)?;
    let inside = staging.path().join("code");
    copy(code, &inside, MAX_DEPTH)?;
    // A file that is the whole code may be a program, and a literal archive has no mode.
    if !inside.is_dir() {
        fs::set_permissions(&inside, Permissions::from_mode(0o755))?;
    }
    rustix::fs::renameat_with(rustix::fs::CWD, &inside, rustix::fs::CWD, target, rustix::fs::RenameFlags::NOREPLACE)?;
    Ok(())
}

fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    let kind = found.file_type();
    if kind.is_dir() {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is too deep", from.display())));
        };
        fs::create_dir(to)?;
        fs::set_permissions(to, Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), depth)?;
        }
        return Ok(());
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    fs::copy(from, to)?;
    let mode = found.permissions().mode() & 0o777;
    fs::set_permissions(to, Permissions::from_mode(mode | 0o444))
}

/// Writes a file below a root, at a path of plain names.
pub(super) fn write(root: &Path, path: &str, content: &[u8]) -> io::Result<()> {
    let mut at = root.to_owned();
    let mut parts = Path::new(path).components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is no path below its root")));
        };
        at.push(name);
        if parts.peek().is_none() {
            break;
        }
        match fs::create_dir(&at) {
            Ok(()) => fs::set_permissions(&at, Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::symlink_metadata(&at)?.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&at)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_appears_as_a_whole_and_readable_by_everyone() {
        let dir = tempfile::tempdir().unwrap();
        let (code, shared) = (dir.path().join("code"), dir.path().join("userfunc"));
        fs::create_dir_all(code.join("lib")).unwrap();
        fs::create_dir(&shared).unwrap();
        fs::write(code.join("lib/a.js"), "1").unwrap();
        fs::set_permissions(code.join("lib/a.js"), Permissions::from_mode(0o600)).unwrap();
        place(&code, &shared.join("deployarchive")).unwrap();
        let placed = shared.join("deployarchive/lib/a.js");
        assert_eq!(fs::read_to_string(&placed).unwrap(), "1");
        assert_eq!(fs::metadata(&placed).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(&shared).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_there_already_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("code"), "new").unwrap();
        fs::write(dir.path().join("there"), "old").unwrap();
        assert!(place(&dir.path().join("code"), &dir.path().join("there")).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("there")).unwrap(), "old");
    }

    #[test]
    fn a_link_put_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (dir.path().join("secrets"), dir.path().join("elsewhere"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("default")).unwrap();
        assert!(write(&root, "default/key", b"x").is_err());
        assert!(write(&root, "../out", b"x").is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        write(&root, "a/b/key", b"x").unwrap();
        assert_eq!(fs::read(root.join("a/b/key")).unwrap(), b"x");
    }

    #[test]
    fn only_a_plain_name_is_one() {
        assert!(is_plain_name("deployarchive"));
        for name in ["", ".", "..", "a/b", "/a", "a/"] {
            assert!(!is_plain_name(name), "{name:?}");
        }
    }
}
