//! The directory a fetcher and a builder share: whatever is in it was put there by a stranger, and every name in it comes
//! from a request.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with};

/// Longest name of a file.
const NAME_BYTES: usize = 255;

/// An open directory. Names in it are of one part, so that none leads out of it.
#[derive(Debug)]
pub(crate) struct SharedDir {
    path: PathBuf,
    open: OwnedFd,
}

impl SharedDir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self { path, open })
    }

    pub(crate) fn place(&self) -> &Path {
        &self.path
    }

    /// Where something of this name is. The error is for whoever asked.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf, String> {
        let plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= NAME_BYTES;
        if plain { Ok(self.path.join(name)) } else { Err(format!("{name:?} is no name in the shared directory")) }
    }

    /// Whether something of this name is there. A link counts, wherever it leads.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).is_ok_and(|path| std::fs::symlink_metadata(path).is_ok())
    }

    /// Whether it is a folder, or else a file. A link is neither.
    pub(crate) fn is_folder(&self, name: &str) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let no_links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = openat2(&self.open, name, flags, Mode::empty(), no_links)?;
        Ok(File::from(opened).metadata()?.is_dir())
    }

    /// Gives something in the directory its final name. False when that is taken.
    pub(crate) fn rename(&self, from: &Path, name: &str) -> io::Result<bool> {
        match renameat_with(CWD, from, &self.open, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes something, if it is there.
    pub(crate) async fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name).map_err(io::Error::other)?;
        let removing = tokio::task::spawn_blocking(move || {
            remove(&path).or_else(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    unlock(&path);
                    remove(&path)
                }
                _ => Err(error),
            })
        });
        match removing.await? {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// Does not follow links, whoever puts some there meanwhile.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path)?.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    }
}

/// Lets everything be removed that was made by this user, as far as that works: some tools protect their folders.
fn unlock(top: &Path) {
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700));
            left.extend(std::fs::read_dir(&path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
}
