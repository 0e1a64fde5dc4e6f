//! Which crate may use which. `fission` is the composition root and sees everything.

use super::Offence;
use super::source::{Package, Tree};

const API: &str = "fission-api";
const RPC: &str = "fission-rpc";
const EXECUTOR: &str = "fission-executor";
const ENVIRONMENTS: &str = "fission-environments";
const TESTKIT: &str = "fission-testkit";

/// What tests of any crate may use: the scripted world, and the API server, which in memory is the fake of itself.
const IN_TESTS: &[&str] = &[TESTKIT, "fission-apiserver"];

/// What rooms may use.
const ROOM: &[&str] = &[API, RPC];
/// What backends may use: the trait they implement, and where runtimes are.
const BACKEND: &[&str] = &[API, RPC, EXECUTOR, ENVIRONMENTS];

/// Every package and what it may use; `None` for those that may use everything.
const WALLS: &[(&str, Option<&[&str]>)] = &[
    (API, Some(&[])),
    (RPC, Some(&[API])),
    ("fission-apiserver", Some(ROOM)),
    ("fission-router", Some(ROOM)),
    (EXECUTOR, Some(ROOM)),
    ("fission-package", Some(ROOM)),
    ("fission-triggers", Some(ROOM)),
    ("fission-logs", Some(ROOM)),
    ("fission-cli", Some(ROOM)),
    (ENVIRONMENTS, Some(&[])),
    ("fission-sandbox", Some(BACKEND)),
    ("fission-kubernetes", Some(BACKEND)),
    ("fission-wasm", Some(BACKEND)),
    (TESTKIT, Some(&[API, RPC, EXECUTOR])),
    ("xtask", Some(&[API, ENVIRONMENTS])),
    ("fission", None),
];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    tree.packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<Offence> {
    // Whole-system tests and benchmarks are outside the house: they see what a user sees, and may start the rest.
    if !package.manifest.starts_with("crates/") && !package.manifest.starts_with("xtask/") {
        return Vec::new();
    }
    let Some((_, allowed)) = WALLS.iter().find(|(name, _)| *name == package.name) else {
        let what =
            format!("{} is not in the table of walls; say in xtask/src/tidy/walls.rs what it may use", package.name);
        return vec![Offence::new(&package.manifest, what)];
    };
    let Some(allowed) = allowed else { return Vec::new() };
    let free = |name: &str, only_tests: bool| allowed.contains(&name) || (only_tests && IN_TESTS.contains(&name));
    package
        .uses
        .iter()
        .filter(|(name, only_tests)| !free(name, *only_tests))
        .map(|(name, only_tests)| {
            let kind = if *only_tests { "in its tests " } else { "" };
            let list = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
            Offence::new(&package.manifest, format!("{} uses {name} {kind}but may use only {list}", package.name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::source::read_packages;
    use super::*;

    fn offences(name: &str, uses: &str, kind: Option<&str>) -> Vec<String> {
        let metadata = json!({ "packages": [{ "name": name, "manifest_path": "/r/crates/x/Cargo.toml", "dependencies": [
            { "name": uses, "path": "/r/crates/y", "kind": kind }, { "name": "serde", "kind": null },
        ] }] });
        let packages = read_packages(&metadata, "/r");
        packages.iter().flat_map(of_package).map(|offence| format!("{}: {}", offence.place, offence.what)).collect()
    }

    #[test]
    fn rooms_do_not_use_rooms() {
        let expected =
            "crates/x/Cargo.toml: fission-router uses fission-executor but may use only fission-api, fission-rpc";
        assert_eq!(offences("fission-router", "fission-executor", None), [expected]);
        assert_eq!(offences("fission-router", "fission-rpc", None), [""; 0]);
    }

    #[test]
    fn tests_may_use_the_testkit_and_the_api_server_and_nothing_more() {
        assert_eq!(offences("fission-router", "fission-testkit", Some("dev")), [""; 0]);
        assert_eq!(offences("fission-cli", "fission-apiserver", Some("dev")), [""; 0]);
        assert_eq!(offences("fission-router", "fission-testkit", None).len(), 1);
        assert_eq!(offences("fission-router", "fission-executor", Some("dev")).len(), 1);
    }

    #[test]
    fn only_the_binary_sees_everything_and_strangers_are_named() {
        assert_eq!(offences("fission", "fission-router", None), [""; 0]);
        assert_eq!(offences("fission-api", "fission-rpc", None).len(), 1);
        assert!(offences("fission-new", "fission-api", None)[0].contains("table of walls"));
    }
}
