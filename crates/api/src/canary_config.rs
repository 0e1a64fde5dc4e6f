//! `CanaryConfig`: a route moved step by step from one function to another.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::null_default;

/// What a user declares of a canary.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "CanaryConfig",
    doc = "A route moved step by step from one function to another.",
    plural = "canaryconfigs",
    namespaced,
    status = "CanaryConfigStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct CanaryConfigSpec {
    /// The HTTPTrigger whose weights move.
    pub trigger: String,
    /// The function (or version) that gains.
    pub newfunction: String,
    /// The function (or version) that loses.
    pub oldfunction: String,
    /// Percent moved per interval.
    #[serde(default, deserialize_with = "null_default")]
    pub weightincrement: i64,
    /// The interval, as a Go duration.
    #[serde(default, deserialize_with = "null_default")]
    pub duration: String,
    /// Percent of failed requests that aborts.
    #[serde(default, deserialize_with = "null_default")]
    pub failurethreshold: i64,
    /// What counts as a failure: `status-code`.
    #[serde(default, deserialize_with = "null_default")]
    pub failure_type: String,
}

/// What the platform says of a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryConfigStatus {
    /// `pending`, `succeeded`, `failed` or `aborted`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(extend("enum" = ["", "pending", "succeeded", "failed", "aborted"]))]
    pub status: String,
    /// `Progressing` and `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
