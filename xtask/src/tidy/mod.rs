//! The rules of the house, checked: one file a rule, listed in [`CHECKS`]. `CONTRIBUTING.md` explains them.

mod documentation;
mod house_names;
mod leftovers;
mod lengths;
mod lints;
mod machine_paths;
mod races;
mod scan;
mod settings;
mod source;
mod sql;
mod unsafe_code;
mod walls;
mod workloads;

use std::path::Path;

use anyhow::Result;

use source::Tree;

/// One thing that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Offence {
    /// `path:line`, or a path alone.
    place: String,
    what: String,
}

impl Offence {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// One rule.
struct Check {
    name: &'static str,
    /// Why the rule is there, printed with its offenders.
    reason: &'static str,
    run: fn(&Tree) -> Vec<Offence>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "walls",
        reason: "rooms meet in api and rpc and never import one another, so that each can be read and tested alone",
        run: walls::run,
    },
    Check {
        name: "unsafe",
        reason: "unsafe code lives in crates/sandbox and where machine code is mapped (crates/wasm/src/artifacts.rs) only, where it \
                 is reviewed as such",
        run: unsafe_code::run,
    },
    Check {
        name: "sql",
        reason: "SQL lives behind the storage traits only: apiserver/src/storage and logs/src/store",
        run: sql::run,
    },
    Check {
        name: "workloads",
        reason: "Kubernetes workloads are named in crates/kubernetes only; the platform knows instances",
        run: workloads::run,
    },
    Check {
        name: "races",
        reason: "a page that promises tests is worth as much as the tests are there",
        run: races::run,
    },
    Check {
        name: "settings",
        reason: "the environment is read into one documented struct, in fission/src/config.rs and the cli",
        run: settings::run,
    },
    Check {
        name: "names",
        reason: "a name that fits everything says nothing; name a thing after what it does",
        run: house_names::run,
    },
    Check {
        name: "lengths",
        reason: "files of 500 lines and functions of 70 are the most a reader holds in mind",
        run: lengths::run,
    },
    Check { name: "documentation", reason: "every file opens by saying what it is", run: documentation::run },
    Check {
        name: "leftovers",
        reason: "what is not done is an issue, not a comment; what is not run is not a test",
        run: leftovers::run,
    },
    Check { name: "lints", reason: "every crate is held to the same lints", run: lints::run },
    Check {
        name: "paths",
        reason: "the tree speaks of itself alone, and works wherever it is cloned",
        run: machine_paths::run,
    },
];

/// Runs every check and prints the offenders. Whether there were none.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let tree = Tree::read(root)?;
    let mut clean = true;
    for check in CHECKS {
        let offences = (check.run)(&tree);
        if offences.is_empty() {
            continue;
        }
        clean = false;
        crate::say(&format!("{}: {}", check.name, check.reason));
        for offence in &offences {
            crate::say(&format!("  {}: {}", offence.place, offence.what));
        }
    }
    if clean {
        crate::say(&format!("tidy: {} checks, {} files, no offenders", CHECKS.len(), tree.files.len()));
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_reason() {
        for (index, check) in CHECKS.iter().enumerate() {
            assert!(!check.reason.is_empty());
            assert!(CHECKS[..index].iter().all(|earlier| earlier.name != check.name), "{}", check.name);
        }
    }
}
