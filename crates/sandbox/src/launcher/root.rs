//! Builds the file tree of an instance and makes it the root. Runs in processes of the launcher's making, before anything
//! of the user's.
//!
//! What instances of one environment have in common is built once, as the root of a mount namespace that each of them
//! copies ([`super::prepared`]); where that cannot be had each builds it for itself. The rest is an instance's own: it is
//! taken from the host's tree before that is left, and put into the new one.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_bind, mount_bind_recursive,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::isolation::Feature;
use crate::protocol::{Bind, Common, Failure, Tree};
use crate::sys::{self, Attributes};

/// Holds only directories, links and a few lines of text: everything else is mounted onto it.
const ROOT_OPTIONS: &str = "mode=755,size=1m";

/// Bytes of private memory for each file there may be in it, and files there may be in the smallest.
const PAGE: u64 = 4096;
const FEWEST_FILES: u64 = 256;

const NO_TRICKS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Something to mount, and where.
struct Part<'a> {
    mount: OwnedFd,
    target: &'a Path,
    directory: bool,
}

/// Enters the tree. `processes`: its `/proc`. `prepared`: a mount namespace whose root is the tree's common part; without
/// one this process has a mount namespace of its own and builds it.
pub(super) fn enter(tree: &Tree, processes: OwnedFd, prepared: Option<&OwnedFd>) -> Result<(), Failure> {
    let parts = take_parts(tree, processes)?;
    match prepared {
        Some(namespace) => copy_prepared(namespace)?,
        None => become_root(&tree.common, &tree.mount_point)?,
    }
    for (path, bytes) in &tree.memory {
        // A file takes memory even if it is empty.
        memory_file_system(path, &format!("mode=1777,size={bytes},nr_inodes={}", (bytes / PAGE).max(FEWEST_FILES)))?;
    }
    for part in &parts {
        if tree.memory.iter().any(|(memory, _)| part.target.starts_with(memory)) {
            make_place(part.target, part.directory)?;
        }
        move_mount(&part.mount, "", CWD, part.target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| failed(format!("mounting {}", part.target.display()), e))?;
    }
    Ok(())
}

/// Builds the common part of a tree on an empty directory and makes it the root, in a mount namespace of this process's
/// own.
pub(super) fn become_root(common: &Common, root: &Path) -> Result<(), Failure> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|e| failed("making mounts private", e))?;
    memory_file_system(root, ROOT_OPTIONS)?;
    furnish(common, root)?;
    for bind in &common.read_only {
        mount_bind_recursive(&bind.source, inside(root, &bind.target)).map_err(|e| failed(showing(bind), e))?;
    }
    sys::set_attributes(root, Attributes::READ_ONLY)
        .map_err(|e| failed("making the file tree read-only (needs Linux 5.12)", e))?;
    for bind in &common.devices {
        mount_bind(&bind.source, inside(root, &bind.target)).map_err(|e| failed(showing(bind), e))?;
    }
    rustix::process::chdir(root).map_err(|e| failed("entering the file tree", e))?;
    rustix::process::pivot_root(".", ".").map_err(|e| failed("making the file tree the root", e))?;
    unmount(".", UnmountFlags::DETACH).map_err(|e| failed("leaving the host's file tree", e))?;
    rustix::process::chdir("/").map_err(|e| failed("entering the new root", e))
}

fn copy_prepared(namespace: &OwnedFd) -> Result<(), Failure> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|e| failed("entering the prepared file tree", e))?;
    sys::own_mounts().map_err(|e| failed("copying the prepared file tree", e))
}

/// Takes what is this instance's own from the host's tree.
fn take_parts(tree: &Tree, processes: OwnedFd) -> Result<Vec<Part<'_>>, Failure> {
    let mut parts = vec![Part { mount: processes, target: Path::new("/proc"), directory: true }];
    let read_only = tree.own.iter().map(|bind| (bind, Attributes::READ_ONLY));
    for (bind, attributes) in read_only.chain(tree.writable.iter().map(|bind| (bind, Attributes::WRITABLE))) {
        let mount = copy_of(&bind.source, attributes == Attributes::READ_ONLY).map_err(|e| failed(showing(bind), e))?;
        sys::set_attributes_of(&mount, attributes).map_err(|e| failed(showing(bind), e))?;
        parts.push(Part { mount, target: &bind.target, directory: bind.directory });
    }
    Ok(parts)
}

/// A mount of a host path that is nowhere yet; `all`: with what is mounted below it.
fn copy_of(path: &Path, all: bool) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, if all { flags | OpenTreeFlags::AT_RECURSIVE } else { flags })
}

/// A `/proc` that is nowhere yet, of this process namespace or the host's. Made while the host's can still be seen: the
/// kernel asks for that where root is not the machine's.
pub(super) fn process_file_system(own: bool) -> Result<OwnedFd, Failure> {
    if !own {
        return copy_of(Path::new("/proc"), true).map_err(|e| failed("showing /proc", e));
    }
    let make = || {
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        // Hides the processes of other users, the instance's first process among them. Linux before 5.8 does not take it
        // for one mount alone.
        let _ = fsconfig_set_string(&context, "hidepid", "invisible");
        fsconfig_create(&context)?;
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().map_err(|e| Failure::of(Feature::Proc, "mounting /proc", e))
}

/// Makes everything that later steps mount onto, while the tree can still be written.
fn furnish(common: &Common, root: &Path) -> Result<(), Failure> {
    for path in &common.directories {
        make(&inside(root, path))?;
    }
    for (link, target) in &common.links {
        let link = inside(root, link);
        link.parent().map_or(Ok(()), make)?;
        symlink(target, &link).map_err(|e| failed(format!("making the link {}", link.display()), e))?;
    }
    for (path, content) in &common.files {
        let path = inside(root, path);
        path.parent().map_or(Ok(()), make)?;
        fs::write(&path, content).map_err(|e| failed(format!("writing {}", path.display()), e))?;
    }
    for bind in common.read_only.iter().chain(&common.devices) {
        make_place(&inside(root, &bind.target), bind.directory)?;
    }
    Ok(())
}

/// Makes what something can be mounted onto.
fn make_place(target: &Path, directory: bool) -> Result<(), Failure> {
    if directory {
        return make(target);
    }
    target.parent().map_or(Ok(()), make)?;
    fs::write(target, "").map_err(|e| failed(format!("making {}", target.display()), e))
}

fn memory_file_system(target: &Path, options: &str) -> Result<(), Failure> {
    let doing = || format!("mounting a tmpfs at {}", target.display());
    let options = std::ffi::CString::new(options).map_err(|e| Failure::fatal(doing(), e))?;
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
