//! Rules of function versions and aliases, one test each.

use serde_json::json;

use crate::rules::cases::{accepted_spec, changed, good, problems, refused, refused_spec};

#[test]
fn a_version_is_named_after_its_function_and_sequence() {
    let problem = "metadata.name: Invalid value: \"f-v4\": must be \"f-v3\", the function's name and the sequence";
    refused("FunctionVersion", json!({ "metadata": { "name": "f-v4" } }), problem);
}

#[test]
fn a_version_never_changes() {
    let new = changed("FunctionVersion", &json!({ "spec": { "envObservedGeneration": 2 } }));
    let problem = "spec: Invalid value: \"f\": may not change; create a new object";
    assert_eq!(problems(&new, Some(&good("FunctionVersion"))), [problem]);
}

#[test]
fn a_version_counts_from_one() {
    let problem = "spec.functionGeneration: Invalid value: \"0\": must be at least 1";
    refused_spec("FunctionVersion", json!({ "functionGeneration": 0 }), problem);
}

#[test]
fn a_snapshot_obeys_the_rules_of_functions() {
    let problem = "spec.snapshot.concurrency: Invalid value: \"-1\": may not be negative";
    refused_spec("FunctionVersion", json!({ "snapshot": { "concurrency": -1 } }), problem);
}

#[test]
fn an_alias_points_at_a_version_or_a_digest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    accepted_spec("FunctionAlias", json!({ "version": null, "packageDigest": digest }));
    let problem = "spec.version: Required value: give version or packageDigest";
    refused_spec("FunctionAlias", json!({ "version": null }), problem);
    let problem = "spec.packageDigest: Forbidden: may not be set together with version; use one of the two";
    refused_spec("FunctionAlias", json!({ "packageDigest": digest }), problem);
    let problem = "spec.packageDigest: Invalid value: \"md5:0\": must match ^sha256:[a-f0-9]{64}$";
    refused_spec("FunctionAlias", json!({ "packageDigest": "md5:0" }), problem);
}

#[test]
fn a_weight_needs_another_version_for_the_rest() {
    accepted_spec("FunctionAlias", json!({ "weight": 90, "secondaryVersion": "f-v4" }));
    let problem = "spec.secondaryVersion: Required value: weight needs a version that gets the rest";
    refused_spec("FunctionAlias", json!({ "weight": 90 }), problem);
    let problem = "spec.secondaryVersion: Invalid value: \"f-v3\": must differ from version";
    refused_spec("FunctionAlias", json!({ "secondaryVersion": "f-v3" }), problem);
    let problem = "spec.weight: Invalid value: \"101\": must be at most 100";
    refused_spec("FunctionAlias", json!({ "weight": 101, "secondaryVersion": "f-v4" }), problem);
}

#[test]
fn an_alias_is_not_named_as_a_version() {
    let problem = "metadata.name: Invalid value: \"f-v9\": names of this form belong to the function's versions";
    refused("FunctionAlias", json!({ "metadata": { "name": "f-v9" } }), problem);
}
