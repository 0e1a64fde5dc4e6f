//! The cache of fetched code: one file or folder for each content, named by its digest.
//!
//! | Name | What |
//! |---|---|
//! | `<digest>` | code that is one file |
//! | `<digest>.zip` | an archive kept as it is |
//! | `<digest>.d` | an unpacked archive |
//!
//! Instances have links or copies of their own, so an entry may be removed although code of it runs; it must only not
//! be removed between being given out and being linked, and that is what "unused for a while" is for.
//!
//! Nothing is synced to disk: a crash of the process loses nothing, and after a crash of the machine the cache is not
//! trusted. It lives in a folder named after the boot of the machine, and those of other boots are removed.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::archive::{self, ArchiveError, UnpackLimits};

/// Instances read it, nobody writes it. Executable because a single file carries no mode and may be a program.
const FILE_MODE: u32 = 0o555;
/// Prefix of what is not complete yet, or is on its way out.
const PARTIAL: &str = ".partial-";

#[derive(Debug)]
pub(super) struct CodeCache {
    dir: PathBuf,
    /// Bytes kept before unused entries are removed.
    max_bytes: u64,
    /// How long an entry must not have been asked for before it counts as unused.
    unused_for: Duration,
    entries: Mutex<HashMap<String, Entry>>,
    /// Set once what an earlier process left has been measured; then `total` is right.
    measured: AtomicBool,
    /// Bytes of the entries measured.
    total: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Absent until it is first needed: measuring a folder means walking it.
    bytes: Option<u64>,
    used: SystemTime,
}

impl CodeCache {
    pub(super) fn open(root: &Path, max_bytes: u64, unused_for: Duration) -> io::Result<Self> {
        let boot = boot();
        let dir = root.join(&boot);
        fs::create_dir_all(&dir)?;
        let stale: Vec<PathBuf> = fs::read_dir(root)?
            .filter_map(Result::ok)
            .filter(|old| *old.file_name() != *boot)
            .map(|old| old.path())
            .collect();
        let mut entries = HashMap::new();
        let mut partial = Vec::new();
        for found in fs::read_dir(&dir)? {
            let found = found?;
            let name = found.file_name().to_string_lossy().into_owned();
            if name.starts_with(PARTIAL) {
                partial.push(found.path());
            } else {
                let used = found.metadata()?.modified()?;
                entries.insert(name, Entry { bytes: None, used });
            }
        }
        // Off the way to a running platform: nobody waits for old files to be gone.
        std::thread::Builder::new().name("code-cache-sweep".into()).spawn(move || {
            stale.iter().chain(&partial).for_each(|old| remove(old));
        })?;
        Ok(Self {
            dir,
            max_bytes,
            unused_for,
            entries: Mutex::new(entries),
            measured: AtomicBool::new(false),
            total: AtomicU64::new(0),
        })
    }

    /// The code with this digest, if it is there in the wanted form.
    pub(super) fn find(&self, digest: &str, keep_archive: bool) -> Option<PathBuf> {
        let other = if keep_archive { archive_name(digest) } else { tree_name(digest) };
        [digest.to_owned(), other].into_iter().map(|name| self.dir.join(name)).find(|path| self.touch(path))
    }

    /// Whether a path given out before is still there; marks it as used.
    pub(super) fn touch(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else { return false };
        // Somebody may have cleaned the folder by hand.
        if !path.exists() {
            let gone = entries.remove(name);
            self.forget(gone.and_then(|entry| entry.bytes));
            return false;
        }
        entry.used = SystemTime::now();
        true
    }

    /// A file to write code to before its digest is known.
    pub(super) fn staging(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&self.dir)
    }

    /// A file without a name, where there is room for code.
    pub(super) fn scratch(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.dir)
    }

    /// Takes a complete file in: as it is, or unpacked if it is an archive and is not to be kept as one. Blocking.
    pub(super) fn admit(
        &self,
        mut file: NamedTempFile,
        digest: &str,
        keep_archive: bool,
        limits: &UnpackLimits,
    ) -> Result<PathBuf, ArchiveError> {
        let is_archive = archive::starts_as_zip(file.as_file()).map_err(unwritten(&self.dir))?;
        if is_archive && !keep_archive {
            return self.admit_tree(digest, |tree| archive::unpack(file.as_file_mut(), tree, limits));
        }
        let name = if is_archive { archive_name(digest) } else { digest.to_owned() };
        let path = self.dir.join(&name);
        let bytes = file.as_file().metadata().map_err(unwritten(&path))?.len();
        file.as_file().set_permissions(Permissions::from_mode(FILE_MODE)).map_err(unwritten(&path))?;
        file.persist(&path).map_err(|error| unwritten(&path)(error.error))?;
        self.enter(name, Some(bytes));
        Ok(path)
    }

    /// Takes in a folder that `fill` writes, under the name of a digest. Blocking.
    pub(super) fn admit_tree<E: From<ArchiveError>>(
        &self,
        digest: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let (name, path) = (tree_name(digest), self.dir.join(tree_name(digest)));
        let tree = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(&self.dir).map_err(unwritten(&self.dir))?;
        fill(tree.path())?;
        let tree = tree.keep();
        let result = seal(&tree).and_then(|bytes| fs::rename(&tree, &path).map(|()| bytes));
        match result {
            Ok(bytes) => self.enter(name, Some(bytes)),
            // The same content was unpacked at the same time; one copy is enough.
            Err(_) if path.is_dir() => {
                remove(&tree);
                self.enter(name, None);
            }
            Err(source) => {
                remove(&tree);
                return Err(ArchiveError::Write { path, source }.into());
            }
        }
        Ok(path)
    }

    fn enter(&self, name: String, bytes: Option<u64>) {
        let replaced = self.lock().insert(name, Entry { bytes, used: SystemTime::now() });
        self.total.fetch_add(bytes.unwrap_or_default(), Ordering::Relaxed);
        self.forget(replaced.and_then(|entry| entry.bytes));
    }

    fn forget(&self, bytes: Option<u64>) {
        let less = |total: u64| Some(total.saturating_sub(bytes.unwrap_or_default()));
        // The closure never says no.
        let _ = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Removes what was unused for longest until the cache is within its limit. Blocking.
    pub(super) fn trim(&self) {
        if !self.measured.swap(true, Ordering::Relaxed) {
            self.measure();
        }
        if self.total.load(Ordering::Relaxed) <= self.max_bytes {
            return;
        }
        let now = SystemTime::now();
        let is_unused = |entry: &Entry| now.duration_since(entry.used).is_ok_and(|idle| idle >= self.unused_for);
        let mut unused: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, entry)| is_unused(entry))
            .map(|(name, entry)| (entry.used, name.clone()))
            .collect();
        unused.sort();
        for (_, name) in unused {
            if self.total.load(Ordering::Relaxed) <= self.max_bytes {
                return;
            }
            self.take_out(&name);
        }
        let total = self.total.load(Ordering::Relaxed);
        if total > self.max_bytes {
            tracing::debug!(
                total,
                limit = self.max_bytes,
                "the code cache is over its limit, and all of it was used a short while ago"
            );
        }
    }

    fn measure(&self) {
        let unknown: Vec<String> =
            self.lock().iter().filter(|(_, entry)| entry.bytes.is_none()).map(|(name, _)| name.clone()).collect();
        for name in unknown {
            let bytes = size(&self.dir.join(&name)).unwrap_or_default();
            if let Some(entry) = self.lock().get_mut(&name) {
                entry.bytes = Some(bytes);
                self.total.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Out of the index first, then renamed, then removed: nobody is given half an entry.
    fn take_out(&self, name: &str) {
        let path = self.dir.join(name);
        let going = self.dir.join(format!("{PARTIAL}{}", uuid::Uuid::new_v4()));
        let mut entries = self.lock();
        if let Err(error) = fs::rename(&path, &going) {
            tracing::warn!(path = %path.display(), %error, "unused code could not be removed");
            return;
        }
        let gone = entries.remove(name);
        drop(entries);
        self.forget(gone.and_then(|entry| entry.bytes));
        remove(&going);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn archive_name(digest: &str) -> String {
    format!("{digest}.zip")
}

fn tree_name(digest: &str) -> String {
    format!("{digest}.d")
}

/// Names this boot of the machine; something new each time where that cannot be known.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| uuid::Uuid::new_v4().to_string(), |id| id.trim().to_owned())
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    move |source| ArchiveError::Write { path: path.to_owned(), source }
}

/// Takes write permission from a folder and all in it; returns its size in bytes.
fn seal(path: &Path) -> io::Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    let mut bytes = meta.len();
    if meta.is_dir() {
        for child in fs::read_dir(path)? {
            bytes += seal(&child?.path())?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o555))?;
    } else {
        fs::set_permissions(path, Permissions::from_mode(meta.permissions().mode() & 0o555))?;
    }
    Ok(bytes)
}

fn size(path: &Path) -> io::Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    let mut bytes = meta.len();
    if meta.is_dir() {
        for child in fs::read_dir(path)? {
            bytes += size(&child?.path())?;
        }
    }
    Ok(bytes)
}

/// Removes a file or folder, write-protected or not.
fn remove(path: &Path) {
    fn unlock(path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
            for child in fs::read_dir(path)? {
                unlock(&child?.path())?;
            }
        }
        Ok(())
    }
    let removed =
        unlock(path).and_then(|()| if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "part of the code cache could not be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
