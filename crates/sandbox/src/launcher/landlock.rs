//! Landlock: what a server may do with files, said a second time and in another way than by mounts, and from Linux 6.12 on
//! that it reaches no process outside by a signal or an abstract unix socket. Put over the server's process before its
//! program starts, by its own user, for good.
//!
//! With a private tree everything in it may be read and run, and its own folders written. Without one, which is when this
//! matters most, the host's files are there: then only what the tree would have shown may be read at all.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::isolation::Feature;
use crate::layout::RUN;
use crate::protocol::{Bind, Failure, Tree};

/// Rights this was written for; of later kernels' none is used, of earlier ones' those there are.
const KNOWN: ABI = ABI::V6;
/// With fewer, no file could be moved from one folder to another, not even in the private `/tmp`.
const LEAST: ABI = ABI::V2;

/// One folder or file and what may be done with it and all below it.
#[derive(Debug, PartialEq, Eq)]
struct Grant {
    path: PathBuf,
    rights: BitFlags<AccessFs>,
}

/// Restricts this process and all it will start.
pub(super) fn restrict(tree: &Tree, features: &[Feature]) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure { feature: Some(Feature::Landlock), why: error.to_string() };
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))
        .map_err(|_| failed(&"the kernel has no Landlock, or it is not switched on (needs Linux 5.19, lsm=landlock)"))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .map_err(|error| failed(&error))?;
    let ruleset = if features.contains(&Feature::Scopes) {
        ruleset
            .set_compatibility(CompatLevel::HardRequirement)
            .scope(Scope::from_all(KNOWN))
            .map_err(|_| Failure { feature: Some(Feature::Scopes), why: "needs Linux 6.12".to_owned() })?
            .set_compatibility(CompatLevel::BestEffort)
    } else {
        ruleset
    };
    let mut created = ruleset.create().map_err(|error| failed(&error))?;
    for grant in grants(tree, features) {
        // What is not there cannot be opened, with or without a rule.
        let Ok(path) = PathFd::new(&grant.path) else { continue };
        created = created.add_rule(PathBeneath::new(path, grant.rights)).map_err(|error| failed(&error))?;
    }
    let status = created.restrict_self().map_err(|error| failed(&error))?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(failed(&"the kernel has no Landlock")),
        _ => Ok(()),
    }
}

fn grants(tree: &Tree, features: &[Feature]) -> Vec<Grant> {
    let private = features.contains(&Feature::PrivateFiles);
    let read = AccessFs::from_read(KNOWN);
    let all = AccessFs::from_all(KNOWN) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    let grant = |path: &Path, rights: BitFlags<AccessFs>| Grant { path: path.to_owned(), rights };
    let mut grants = Vec::new();
    if private {
        grants.push(grant(Path::new("/"), read));
        grants.extend(tree.memory.iter().map(|(path, _)| grant(path, all)));
        // Holds nothing else, and nothing can be made there.
        grants.push(grant(Path::new("/dev"), device));
    } else {
        grants.extend(tree.common.read_only.iter().chain(&tree.own).map(|bind| grant(&bind.source, read)));
        grants.extend(tree.common.devices.iter().map(|bind| grant(&bind.source, device)));
        grants.push(grant(Path::new("/proc"), read));
    }
    let seen = |bind: &Bind| if private { bind.target.clone() } else { bind.source.clone() };
    // A folder of the host's disk, with no limit of its own: a socket is all that is made there.
    let socket = AccessFs::ReadDir | AccessFs::MakeSock | AccessFs::RemoveFile;
    let rights = |bind: &Bind| if bind.target == Path::new(RUN) { socket } else { all };
    grants.extend(tree.writable.iter().map(|bind| Grant { path: seen(bind), rights: rights(bind) }));
    if features.contains(&Feature::Proc) {
        // Names of threads, and the like: its own processes' only.
        grants.push(grant(Path::new("/proc"), read | AccessFs::WriteFile | AccessFs::Truncate));
    }
    grants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Common;

    fn tree() -> Tree {
        let bind = |source: &str, target: &str| Bind { source: source.into(), target: target.into(), directory: true };
        Tree {
            common: Common { read_only: vec![bind("/usr", "/usr")], ..Common::default() },
            own: vec![bind("/data/7/userfunc", "/userfunc")],
            writable: vec![bind("/data/7/socket", "/run/fission")],
            memory: vec![("/tmp".into(), 1)],
            ..Tree::default()
        }
    }

    fn rights(grants: &[Grant], path: &str) -> Option<BitFlags<AccessFs>> {
        grants.iter().find(|grant| grant.path == Path::new(path)).map(|grant| grant.rights)
    }

    #[test]
    fn with_a_private_tree_only_its_own_folders_may_be_written() {
        let grants = grants(&tree(), &[Feature::PrivateFiles]);
        assert_eq!(rights(&grants, "/"), Some(AccessFs::from_read(KNOWN)));
        assert!(rights(&grants, "/tmp").unwrap().contains(AccessFs::MakeReg | AccessFs::WriteFile));
        let socket = rights(&grants, RUN).unwrap();
        assert!(socket.contains(AccessFs::MakeSock) && !socket.intersects(AccessFs::MakeReg | AccessFs::WriteFile));
        assert_eq!(rights(&grants, "/userfunc"), None, "it has no more than everything has");
    }

    #[test]
    fn without_one_nothing_of_the_host_may_be_read_but_what_a_tree_would_show() {
        let grants = grants(&tree(), &[]);
        assert_eq!(rights(&grants, "/"), None);
        assert_eq!(rights(&grants, "/tmp"), None, "that one is everyone's");
        assert_eq!(rights(&grants, "/usr"), Some(AccessFs::from_read(KNOWN)));
        assert_eq!(rights(&grants, "/data/7/userfunc"), Some(AccessFs::from_read(KNOWN)));
        assert!(rights(&grants, "/data/7/socket").unwrap().contains(AccessFs::MakeSock));
    }

    #[test]
    fn no_device_may_be_made_anywhere() {
        let made = AccessFs::MakeChar | AccessFs::MakeBlock;
        assert!(grants(&tree(), &[Feature::PrivateFiles]).iter().all(|grant| !grant.rights.intersects(made)));
    }
}
