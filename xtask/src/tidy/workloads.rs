//! Where Kubernetes workload types, and the wasm engine, may be named.

use super::Offence;
use super::scan::words;
use super::source::{SourceFile, Tree};

const HOME: &str = "crates/kubernetes/";
const WASM_HOME: &str = "crates/wasm/";
const WORKLOADS: &[&str] = &[
    "Pod",
    "PodSpec",
    "PodTemplateSpec",
    "Container",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "Service",
    "EndpointSlice",
    "HorizontalPodAutoscaler",
];
const CRATE: &str = "k8s_openapi::api::";

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.platform_rust() {
        if !file.path.starts_with(HOME) {
            offences.extend(workloads(file));
        }
        if !file.path.starts_with(WASM_HOME) {
            offences
                .extend(words(&file.code, "wasmtime").map(|at| Offence::new(file.place(at), "wasmtime is used here")));
        }
    }
    offences
}

fn workloads(file: &SourceFile) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (at, _) in file.code.match_indices(CRATE) {
        if file.is_test_line(file.line_at(at)) {
            continue;
        }
        // The path or the braces of the import: what follows until something that is neither.
        let rest = &file.code[at + CRATE.len()..];
        let in_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '{' | '}' | ',' | ' ' | '\n');
        let path = &rest[..rest.find(|c| !in_path(c)).unwrap_or(rest.len())];
        let names = path.split(|c: char| !c.is_alphanumeric() && c != '_');
        offences.extend(
            names
                .filter(|name| WORKLOADS.contains(name))
                .map(|name| Offence::new(file.place(at), format!("{name} is named here"))),
        );
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_outside_their_backend_are_found() {
        let text = "use k8s_openapi::api::core::v1::{\n    EnvVar, Pod,\n};\nlet a: k8s_openapi::api::apps::v1::Deployment;\nstruct Service;\n";
        let found = run(&Tree::of(&[("crates/executor/src/a.rs", text)]));
        let expected = [
            Offence::new("crates/executor/src/a.rs:1", "Pod is named here"),
            Offence::new("crates/executor/src/a.rs:4", "Deployment is named here"),
        ];
        assert_eq!(found, expected);
        assert_eq!(run(&Tree::of(&[("crates/kubernetes/src/a.rs", text)])), []);
    }

    #[test]
    fn the_wasm_engine_has_one_home() {
        let found = run(&Tree::of(&[("crates/executor/src/a.rs", "use wasmtime::Engine;\n")]));
        assert_eq!(found, [Offence::new("crates/executor/src/a.rs:1", "wasmtime is used here")]);
    }
}
