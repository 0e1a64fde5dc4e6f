//! Puts code of the shared cache into the directory of an instance: by hard links, which take no space and no time, else
//! by copies.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path};

/// Directories below one another that are followed; deeper code is refused rather than exhausting the stack.
const MAX_DEPTH: usize = 128;

/// Whether a name is that of something directly in a directory.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

/// Puts a file or directory at a path. `everyone`: the instance is another user than ours, so everyone must be able to
/// read it; the directories around it keep everyone else out.
///
/// A file that is the whole code is made executable: it may be a program, and a literal archive has no mode.
pub(crate) fn place(code: &Path, at: &Path, everyone: bool) -> io::Result<()> {
    let found = fs::metadata(code)?;
    if found.is_dir() {
        place_directory(code, at, everyone, MAX_DEPTH)
    } else {
        place_file(code, at, &found, if everyone { 0o555 } else { 0o500 })
    }
}

fn place_directory(code: &Path, at: &Path, everyone: bool, depth: usize) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        let why = format!("{} is more than {MAX_DEPTH} directories deep", code.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    };
    fs::create_dir(at)?;
    fs::set_permissions(at, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(code)? {
        let entry = entry?;
        let (from, to) = (entry.path(), at.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            place_directory(&from, &to, everyone, depth)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_file() {
            place_file(&from, &to, &entry.metadata()?, if everyone { 0o444 } else { 0o400 })?;
        }
    }
    Ok(())
}

/// Links a file, or copies it where it cannot be linked. `needed`: mode bits it must have; they are added to the file
/// in the cache, whose content stays as it is.
fn place_file(from: &Path, to: &Path, found: &fs::Metadata, needed: u32) -> io::Result<()> {
    let mode = found.mode() & 0o777;
    let ready = mode & needed == needed || fs::set_permissions(from, Permissions::from_mode(mode | needed)).is_ok();
    if ready && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    fs::set_permissions(to, Permissions::from_mode(mode | needed))
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
