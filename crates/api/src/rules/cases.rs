//! What tests of rules share: a good object of each kind, and the questions asked of a changed one.

use serde_json::{Value, json};

use crate::field_error::FieldError;
use crate::kinds::kind;

/// A good object of the kind, in namespace `here`.
pub(crate) fn good(name: &str) -> Value {
    let functionref = json!({ "type": "name", "name": "hello", "functionweights": null });
    let (called, spec) = match name {
        "Function" => ("f", function_spec()),
        "Environment" => ("e", json!({ "version": 3, "runtime": { "image": "fission/node-env" } })),
        "Package" => ("p", json!({ "environment": { "namespace": "here", "name": "e" } })),
        "HTTPTrigger" => ("t", json!({ "relativeurl": "/hello", "methods": ["GET"], "functionref": functionref })),
        "TimeTrigger" => ("t", json!({ "cron": "@every 5m", "functionref": functionref })),
        "KubernetesWatchTrigger" => ("t", json!({ "namespace": "here", "type": "pod", "functionref": functionref })),
        "MessageQueueTrigger" => (
            "t",
            json!({ "topic": "in", "messageQueueType": "kafka", "mqtkind": "fission", "functionref": functionref }),
        ),
        "CanaryConfig" => (
            "c",
            json!({ "trigger": "t", "newfunction": "b", "oldfunction": "a", "weightincrement": 20, "duration": "2m",
                "failurethreshold": 10, "failureType": "status-code" }),
        ),
        "FunctionVersion" => (
            "f-v3",
            json!({ "functionName": "f", "functionUID": "u", "functionGeneration": 1, "sequence": 3,
                "snapshot": function_spec(), "packageDigest": "sha256:0", "publishedAt": "2026-01-02T03:04:05Z" }),
        ),
        "FunctionAlias" => ("prod", json!({ "functionName": "f", "version": "f-v3" })),
        "Workflow" => ("w", json!({ "startAt": "one", "states": { "one": { "type": "Succeed" } } })),
        "WorkflowRun" => ("r", json!({ "workflowRef": "w", "input": { "a": 1 } })),
        _ => ("x", json!({ "namespace": "here" })),
    };
    let mut object =
        json!({ "apiVersion": "fission.io/v1", "kind": name, "metadata": { "name": called }, "spec": spec });
    if name != "FissionTenant" {
        object["metadata"]["namespace"] = json!("here");
    }
    object
}

fn function_spec() -> Value {
    json!({
        "environment": { "namespace": "here", "name": "e" },
        "package": { "packageref": { "namespace": "here", "name": "p" } },
        "InvokeStrategy": { "StrategyType": "execution", "ExecutionStrategy": { "ExecutorType": "poolmgr" } },
    })
}

/// The good object of the kind with a JSON merge patch on it.
pub(crate) fn changed(name: &str, patch: &Value) -> Value {
    let mut object = good(name);
    merge(&mut object, patch);
    object
}

fn merge(target: &mut Value, patch: &Value) {
    let (Some(fields), Some(changes)) = (target.as_object_mut(), patch.as_object()) else {
        *target = patch.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Everything wrong with an object, as people read it.
pub(crate) fn problems(object: &Value, old: Option<&Value>) -> Vec<String> {
    let info = object["kind"].as_str().and_then(kind).expect("a known kind");
    let mut stored = object.clone();
    crate::structural::prune(&mut stored, info.schema());
    (info.default)(&mut stored);
    (info.validate)(&stored, old).iter().map(FieldError::to_string).collect()
}

/// The good object with `patch` on it has exactly this problem.
#[track_caller]
pub(crate) fn refused(name: &str, patch: Value, problem: &str) {
    assert_eq!(problems(&changed(name, &patch), None), [problem], "{patch}");
}

/// The good object with `spec` patched has exactly this problem.
#[track_caller]
pub(crate) fn refused_spec(name: &str, spec: Value, problem: &str) {
    refused(name, json!({ "spec": spec }), problem);
}

/// The good object with `spec` patched is good.
#[track_caller]
pub(crate) fn accepted_spec(name: &str, spec: Value) {
    assert_eq!(problems(&changed(name, &json!({ "spec": spec })), None), [""; 0], "{spec}");
}
