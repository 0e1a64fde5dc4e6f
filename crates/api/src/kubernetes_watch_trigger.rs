//! `KubernetesWatchTrigger`: a function called when Kubernetes objects change.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::FunctionReference;
use crate::wire::null_default;

/// What a user declares of a watch.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "KubernetesWatchTrigger",
    doc = "A function called when Kubernetes objects change.",
    plural = "kuberneteswatchtriggers",
    namespaced,
    status = "KubernetesWatchTriggerStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesWatchTriggerSpec {
    /// Namespace watched; must be the trigger's own.
    pub namespace: String,
    /// `POD`, `SERVICE`, `REPLICATIONCONTROLLER` or `JOB`, in any case.
    #[serde(rename = "type")]
    pub kind: String,
    /// Labels the watched objects must have; always sent, `null` when unused.
    #[serde(rename = "labelselector", default)]
    pub label_selector: Option<BTreeMap<String, String>>,
    /// The function called.
    pub functionref: FunctionReference,
}

/// What the platform says of a watch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesWatchTriggerStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Subscribed` and `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
