//! `Workflow`: functions composed as a state machine.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::FunctionReference;
use crate::wire::{is_default, null_default};

/// Most states of a workflow.
pub const MAX_STATES: usize = 100;
/// Most states of one branch.
pub const MAX_BRANCH_STATES: usize = 20;
/// Most branches of a Parallel state.
pub const MAX_BRANCHES: usize = 10;

/// What a user declares of a workflow.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "Workflow",
    doc = "Functions composed as a state machine.",
    plural = "workflows",
    shortname = "wf",
    namespaced,
    status = "WorkflowStatus",
    printcolumn = r#"{"name":"StartAt","type":"string","jsonPath":".spec.startAt"}"#,
    printcolumn = r#"{"name":"Validated","type":"string","jsonPath":".status.conditions[?(@.type==\"Validated\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSpec {
    /// Name of the first state.
    pub start_at: String,
    /// The states by name, at most 100.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    pub states: BTreeMap<String, WorkflowState>,
    /// How failed tasks are tried again unless they say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retry: Option<RetryPolicy>,
    /// Longest a run may take, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// How many finished runs are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_retention: Option<HistoryRetention>,
}

/// How failed calls are tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Attempts in all; 0 means the platform's default.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub max_attempts: i64,
    /// Wait before the second attempt, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub backoff_base: String,
    /// Longest wait between attempts, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub backoff_cap: String,
    /// Whether waits are randomised.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub jitter: bool,
}

/// How many finished runs are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRetention {
    /// At most this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<i32>,
    /// At most this old, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub max_age: String,
}

// Generic because the schema of a Kubernetes kind may not be recursive: `B` is what branches may hold, and the states of
// a branch have none.
/// One state: what is done, and where to go next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", bound(deserialize = "B: Deserialize<'de>"))]
pub struct State<B> {
    /// Task, Choice, Parallel, Map, Wait, Succeed or Fail.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["Task", "Choice", "Parallel", "Map", "Wait", "Succeed", "Fail"]))]
    pub kind: String,
    /// Task: the function called, by name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionReference>,
    /// Task: longest a call may take, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// Task: how failed calls are tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Task, Parallel, Map: where to go on which error.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub catch: Vec<Catcher>,
    /// Task, Parallel, Map: part of the input used.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub input_path: String,
    /// Task, Parallel, Map: where the result is put.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub result_path: String,
    /// Task, Parallel, Map: part of the output passed on.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub output_path: String,
    /// Choice: rules, the first that holds decides.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ChoiceRule>,
    /// Choice: where to go when no rule holds.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub default: String,
    /// Parallel: the branches. Map: the one branch run for every item.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<B>,
    /// Parallel, Map: branches run at once; 0 means 10.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub max_concurrency: i64,
    /// Map: the list iterated over.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub items_path: String,
    /// Wait: how long, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub duration: String,
    /// The state that follows. Excludes `end`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// Whether the workflow ends here. Excludes `next`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub end: bool,
}

/// Where to go on an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catcher {
    /// Name of the error, `Fission.All` for every one.
    pub error_type: String,
    /// The state that handles it.
    pub next: String,
    /// Where the error is put.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub result_path: String,
}

/// A small state machine inside a Parallel or Map state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// Name of the first state.
    pub start_at: String,
    /// The states by name, at most 20; no Parallel, no Map.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    pub states: BTreeMap<String, BranchState>,
}

/// A state of a workflow.
pub type WorkflowState = State<Branch>;
/// A state of a branch.
pub type BranchState = State<NoBranch>;

/// What a branch's state may hold as branches: nothing. Kept so that nesting is refused rather than dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoBranch {}

/// One comparison of a value of the input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Path of the value compared.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variable: String,
    /// The value is this string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_equals: Option<String>,
    /// The value is this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_equals: Option<IntOrString>,
    /// The value is above this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_greater_than: Option<IntOrString>,
    /// The value is below this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_less_than: Option<IntOrString>,
    /// The value is this boolean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boolean_equals: Option<bool>,
    /// Whether there is a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_present: Option<bool>,
    /// Whether the value is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_null: Option<bool>,
}

/// A rule of a Choice state: one comparison, or one of `and`, `or`, `not` over comparisons.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChoiceRule {
    /// The comparison of a simple rule.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// All of these hold.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub and: Vec<Comparison>,
    /// One of these holds.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<Comparison>,
    /// This does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Comparison>,
    /// Where to go when the rule holds.
    pub next: String,
}

/// What the platform says of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Validated`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
