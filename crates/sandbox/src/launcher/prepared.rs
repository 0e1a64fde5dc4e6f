//! The common parts of file trees, built once: each the root of a mount namespace that instances copy, which takes a tenth
//! of the time building it does. Only where the launcher has the rights of root.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::first::reap;
use super::root;
use crate::protocol::{Common, Failure, Tree};
use crate::sys::{self, Copy, SingleThreaded, namespace};

/// Trees kept; those not used for longest go. Each holds what it shows of the host's file systems.
const KEPT: usize = 16;

/// Trees that are built, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct PreparedTrees(Vec<PreparedTree>);

#[derive(Debug)]
struct PreparedTree {
    common: Common,
    /// What it shows, to notice when the host has put something else in a place.
    shown: Vec<Option<(u64, u64)>>,
    namespace: OwnedFd,
}

impl PreparedTrees {
    /// The mount namespace whose root is the common part of a tree, built now if it is not there yet.
    pub(super) fn of(&mut self, single: &SingleThreaded, tree: &Tree) -> Result<&OwnedFd, Failure> {
        let shown = shown(&tree.common);
        let known = self.0.iter().position(|prepared| prepared.common == tree.common);
        let known = known.map(|position| self.0.remove(position)).filter(|prepared| prepared.shown == shown);
        let prepared = match known {
            Some(prepared) => prepared,
            None => PreparedTree { common: tree.common.clone(), shown, namespace: build(single, tree)? },
        };
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        Ok(&self.0.push_mut(prepared).namespace)
    }
}

/// Device and number of each path shown.
fn shown(common: &Common) -> Vec<Option<(u64, u64)>> {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    common.read_only.iter().map(|bind| fs::metadata(&bind.source).ok().map(identity)).collect()
}

/// Has a process build the tree, and keeps the namespace it did it in.
fn build(single: &SingleThreaded, tree: &Tree) -> Result<OwnedFd, Failure> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|e| Failure::fatal("making a pipe", e));
    let (outcome, tell) = pipe()?;
    let (release, held) = pipe()?;
    let copied = sys::copy(single, namespace::MOUNT, None);
    match copied.map_err(|e| Failure::fatal("starting a process to build a file tree", e))? {
        Copy::Child => {
            drop((outcome, held));
            rustix::process::umask(Mode::WGRP | Mode::WOTH);
            let built = root::become_root(&tree.common, &tree.mount_point);
            let told = File::from(tell).write_all(&serde_json::to_vec(&built).unwrap_or_default());
            // Until the namespace is held by another.
            let _ = told.and_then(|()| File::from(release).read_to_end(&mut Vec::new()));
            sys::exit_now(0)
        }
        Copy::Parent { pid, pidfd } => {
            drop((tell, release));
            let namespace = hold(pid, outcome);
            drop(held);
            reap(&pidfd);
            namespace
        }
    }
}

fn hold(builder: Pid, outcome: OwnedFd) -> Result<OwnedFd, Failure> {
    let mut told = serde_json::Deserializer::from_reader(File::from(outcome)).into_iter::<Result<(), Failure>>();
    match told.next() {
        Some(Ok(built)) => built?,
        Some(Err(error)) => return Err(Failure::fatal("waiting for a file tree", error)),
        None => return Err(Failure { feature: None, why: "the process that built a file tree ended".to_owned() }),
    }
    let path = format!("/proc/{}/ns/mnt", builder.as_raw_pid());
    File::open(&path).map(OwnedFd::from).map_err(|e| Failure::fatal(format!("opening {path}"), e))
}
