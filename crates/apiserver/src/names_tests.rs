//! Tests of names.

use serde_json::json;

use super::*;
use crate::registry;

fn functions() -> &'static Resource {
    registry::find("fission.io", "v1", "functions").unwrap()
}

fn wrong(meta: Value) -> Vec<String> {
    let errors = check_metadata(&json!({ "metadata": meta }), functions());
    errors.into_iter().map(|error| error.path).collect()
}

#[test]
fn a_name_must_be_a_dns_name() {
    for good in ["a", "a-b", "a.b.c", "0", &"x".repeat(253)] {
        assert_eq!(wrong(json!({ "name": good })), Vec::<String>::new(), "{good}");
    }
    for bad in ["", "A", "-a", "a-", "a..b", "a/b", "ä", &"x".repeat(254)] {
        assert_eq!(wrong(json!({ "name": bad })), ["metadata.name"], "{bad}");
    }
}

#[test]
fn labels_annotations_finalizers_and_owners_are_checked() {
    assert_eq!(wrong(json!({ "name": "a", "labels": { "a b": "c" } })), ["metadata.labels"]);
    assert_eq!(wrong(json!({ "name": "a", "labels": { "a": "-" } })), ["metadata.labels"]);
    assert_eq!(wrong(json!({ "name": "a", "labels": { "a": 1 } })), ["metadata.labels"]);
    assert_eq!(wrong(json!({ "name": "a", "annotations": { "a": "x".repeat(300_000) } })), ["metadata.annotations"]);
    assert_eq!(wrong(json!({ "name": "a", "finalizers": ["?"] })), ["metadata.finalizers"]);
    assert_eq!(
        wrong(json!({ "name": "a", "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": "x" }] })),
        ["metadata.ownerReferences[0].uid"]
    );
}

#[test]
fn generated_names_are_names_and_differ() {
    let long = "x".repeat(100);
    let (one, two) = (generate(&long), generate(&long));
    assert_ne!(one, two);
    assert_eq!(one.len(), MAX_LABEL);
    assert_eq!(wrong(json!({ "name": generate("hello-") })), Vec::<String>::new());
}
