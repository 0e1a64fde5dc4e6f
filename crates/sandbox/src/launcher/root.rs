//! Builds the file tree of an instance in its own mount namespace and makes it the root. Runs in the instance's first
//! process, before anything of the user's.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};

use crate::isolation::Feature;
use crate::protocol::{Bind, Failure, Tree};
use crate::sys;

/// Holds only directories, links and a few lines of text: everything else is mounted onto it.
const ROOT_OPTIONS: &str = "mode=755,size=1m";

/// Bytes of private memory for each file there may be in it, and files there may be in the smallest.
const PAGE: u64 = 4096;
const FEWEST_FILES: u64 = 256;

const NO_TRICKS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Builds the tree and enters it. `own_proc`: mount a `/proc` of this process namespace, else show the host's.
pub(super) fn enter(tree: &Tree, own_proc: bool) -> Result<(), Failure> {
    let root = tree.mount_point.as_path();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|e| failed("making mounts private", e))?;
    memory_file_system(root, ROOT_OPTIONS)?;
    // First, because what is shown may lie below one of them: a host's file in `/tmp`, say.
    for (path, bytes) in &tree.memory {
        let target = inside(root, path);
        make(&target)?;
        // A file takes memory even if it is empty.
        memory_file_system(&target, &format!("mode=1777,size={bytes},nr_inodes={}", (bytes / PAGE).max(FEWEST_FILES)))?;
    }
    furnish(tree, root)?;
    for bind in &tree.read_only {
        let target = inside(root, &bind.target);
        mount_bind_recursive(&bind.source, &target).map_err(|e| failed(showing(bind), e))?;
    }
    sys::make_read_only(root).map_err(|e| failed("making the file tree read-only (needs Linux 5.12)", e))?;
    for bind in &tree.devices {
        mount_bind(&bind.source, inside(root, &bind.target)).map_err(|e| failed(showing(bind), e))?;
    }
    for bind in &tree.writable {
        let target = inside(root, &bind.target);
        mount_bind(&bind.source, &target).map_err(|e| failed(showing(bind), e))?;
        mount_remount(&target, MountFlags::BIND | NO_TRICKS, "").map_err(|e| failed(showing(bind), e))?;
    }
    for (path, _) in &tree.memory {
        mount_remount(inside(root, path), MountFlags::BIND | NO_TRICKS, "")
            .map_err(|e| failed(format!("making {} writable", path.display()), e))?;
    }
    process_file_system(&inside(root, Path::new("/proc")), own_proc)?;
    rustix::process::chdir(root).map_err(|e| failed("entering the file tree", e))?;
    rustix::process::pivot_root(".", ".").map_err(|e| failed("making the file tree the root", e))?;
    unmount(".", UnmountFlags::DETACH).map_err(|e| failed("leaving the host's file tree", e))?;
    rustix::process::chdir("/").map_err(|e| failed("entering the new root", e))
}

/// Makes everything that later steps mount onto, while the tree can still be written.
fn furnish(tree: &Tree, root: &Path) -> Result<(), Failure> {
    for path in &tree.directories {
        make(&inside(root, path))?;
    }
    for (link, target) in &tree.links {
        let link = inside(root, link);
        link.parent().map_or(Ok(()), make)?;
        symlink(target, &link).map_err(|e| failed(format!("making the link {}", link.display()), e))?;
    }
    for (path, content) in &tree.files {
        let path = inside(root, path);
        path.parent().map_or(Ok(()), make)?;
        fs::write(&path, content).map_err(|e| failed(format!("writing {}", path.display()), e))?;
    }
    for bind in tree.read_only.iter().chain(&tree.devices).chain(&tree.writable) {
        let target = inside(root, &bind.target);
        if bind.directory {
            make(&target)?;
        } else {
            target.parent().map_or(Ok(()), make)?;
            fs::write(&target, "").map_err(|e| failed(showing(bind), e))?;
        }
    }
    make(&inside(root, Path::new("/proc")))
}

fn process_file_system(target: &Path, own: bool) -> Result<(), Failure> {
    if !own {
        return mount_bind_recursive("/proc", target).map_err(|e| failed("showing /proc", e));
    }
    let flags = NO_TRICKS | MountFlags::NOEXEC;
    // The option hides the processes of other users, the instance's first process among them. Linux before 5.8 does
    // not take it for one mount alone.
    mount("proc", target, "proc", flags, c"hidepid=invisible")
        .or_else(|_| mount("proc", target, "proc", flags, None))
        .map_err(|e| Failure::of(Feature::Proc, "mounting /proc", e))
}

fn memory_file_system(target: &Path, options: &str) -> Result<(), Failure> {
    let doing = || format!("mounting a tmpfs at {}", target.display());
    let options = CString::new(options).map_err(|e| Failure::fatal(doing(), e))?;
    mount("tmpfs", target, "tmpfs", NO_TRICKS, options.as_c_str()).map_err(|e| failed(doing(), e))
}

fn make(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|e| failed(format!("making {}", path.display()), e))
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn showing(bind: &Bind) -> String {
    format!("showing {} at {}", bind.source.display(), bind.target.display())
}

fn failed(doing: impl std::fmt::Display, error: impl Into<std::io::Error>) -> Failure {
    Failure::of(Feature::PrivateFiles, doing, error)
}
