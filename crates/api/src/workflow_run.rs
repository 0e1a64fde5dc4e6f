//! `WorkflowRun`: one execution of a workflow.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{AnyJson, is_default, null_default};

/// Largest `spec.input`, in bytes of JSON.
pub const MAX_INPUT_BYTES: usize = 256 * 1024;

/// What a user declares of a run. It never changes once written.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "WorkflowRun",
    doc = "One execution of a workflow.",
    plural = "workflowruns",
    shortname = "wfr",
    namespaced,
    status = "WorkflowRunStatus",
    printcolumn = r#"{"name":"Workflow","type":"string","jsonPath":".spec.workflowRef"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Started","type":"date","jsonPath":".status.startedAt"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRunSpec {
    /// The workflow, in the run's namespace.
    pub workflow_ref: String,
    /// Generation of the workflow to run; 0 means the current one.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub workflow_generation: i64,
    /// What the first state is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<AnyJson>,
}

/// One line of a run's recent history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowEvent {
    /// Number of the event within the run.
    pub seq: i64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The state it happened in.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Which attempt at that state.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub attempt: i64,
    /// When.
    pub at: Time,
    /// Details for people.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What the platform says of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRunStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the run stands.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "Pending", "Running", "Succeeded", "Failed", "Cancelled", "TimedOut"]))]
    pub phase: String,
    /// States being executed.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub active_states: Vec<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What the last state returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<AnyJson>,
    /// Where the output is when it is too large for the object.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub output_ref: String,
    /// Name of the error that ended it.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub error_type: String,
    /// Why, for people.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub cause: String,
    /// The latest events.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub recent_events: Vec<WorkflowEvent>,
    /// `Accepted`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
