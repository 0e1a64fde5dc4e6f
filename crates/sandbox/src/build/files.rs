//! The files of a build on the host.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Name of the source in the build's folder.
pub(super) const SOURCE: &str = "source";
/// Name of what the build makes.
pub(super) const RESULT: &str = "deploy";
/// Name of the folder for temporary files.
pub(super) const SCRATCH: &str = "tmp";

/// Folders below one another that are followed.
const MAX_DEPTH: usize = 128;
/// First look at what a build has on disk, and the shortest pause to the next.
const LOOK: Duration = Duration::from_millis(500);
/// A look may take this part of the time: large trees are looked at less often.
const LOOK_SHARE: u32 = 20;

/// A folder removed in the background when this is dropped.
pub(super) struct Temporary(pub(super) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        in_background(move || remove(&path));
    }
}

/// Runs blocking work, on this thread where there is no runtime any more.
pub(super) fn in_background(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

/// Makes the folders and copies the source. Says whether the source is a folder.
pub(super) fn lay_out(top: &Path, work: &Path, source: &Path, cache: &Path, user: Option<u32>) -> io::Result<bool> {
    DirBuilder::new().mode(0o700).create(top)?;
    for path in [work, &work.join(SCRATCH)] {
        DirBuilder::new().mode(0o755).create(path)?;
        chown(path, user, user)?;
    }
    if let Some(caches) = cache.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(caches)?;
    }
    match DirBuilder::new().mode(0o700).create(cache) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => fs::File::open(cache)?.set_modified(SystemTime::now())?,
        Ok(()) => chown(cache, user, user)?,
    }
    copy(source, &work.join(SOURCE), user, MAX_DEPTH)?;
    Ok(source.is_dir())
}

/// Copies a file or folder; the copy can be written by the user.
fn copy(from: &Path, to: &Path, user: Option<u32>, depth: usize) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {MAX_DEPTH} folders deep")));
    };
    let found = fs::symlink_metadata(from)?;
    if found.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), user, depth)?;
        }
        fs::set_permissions(to, Permissions::from_mode(0o755))?;
    } else if found.is_file() {
        fs::copy(from, to)?;
        fs::set_permissions(to, Permissions::from_mode(found.mode() & 0o755 | 0o600))?;
    }
    lchown(to, user, user)
}

/// Waits until paths together take more than a limit, and says how much; does not end before that.
pub(super) async fn over_limit(paths: &[PathBuf], most: u64) -> u64 {
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let (paths, began) = (paths.to_vec(), Instant::now());
        let sizes = tokio::task::spawn_blocking(move || paths.iter().map(|path| size(path)).sum());
        let total: u64 = sizes.await.unwrap_or_default();
        if total > most {
            return total;
        }
        pause = LOOK.max(began.elapsed() * LOOK_SHARE);
    }
}

/// Bytes on disk of a file or folder; what vanishes meanwhile is not counted.
pub(super) fn size(path: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let Ok(found) = fs::symlink_metadata(path) else { return 0 };
    let mut bytes = found.blocks() * BLOCK;
    if found.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        bytes += entries.map(|entry| size(&entry.path())).sum::<u64>();
    }
    bytes
}

/// Removes a folder, whatever the build made of its permissions.
pub(super) fn remove(path: &Path) {
    let removed = fs::remove_dir_all(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => {
            unlock(path);
            fs::remove_dir_all(path)
        }
    });
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "files of a build could not be removed; the next start does");
    }
}

/// Lets the owner list and empty all folders below a path.
fn unlock(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_folder || fs::set_permissions(path, Permissions::from_mode(0o700)).is_err() {
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
        unlock(&entry.path());
    }
}

/// Removes folders in a folder that were not used for a while.
pub(super) fn remove_unused(folder: &Path, unused_for: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let used = entry.metadata().and_then(|found| found.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|idle| idle > unused_for)) {
            remove(&entry.path());
        }
    }
}
