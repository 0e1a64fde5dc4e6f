//! `TimeTrigger`: a function called on a schedule.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::FunctionReference;
use crate::wire::null_default;

/// Method a timer calls with when none is given.
pub const DEFAULT_METHOD: &str = "POST";
/// Path a timer appends to the function's URL when none is given.
pub const DEFAULT_SUBPATH: &str = "/";

/// What a user declares of a timer.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "TimeTrigger",
    doc = "A function called on a schedule.",
    plural = "timetriggers",
    namespaced,
    status = "TimeTriggerStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct TimeTriggerSpec {
    /// Schedule: five fields, or six with seconds first, or a descriptor such as `@every 5m`. Not checked by the API.
    pub cron: String,
    /// The function called.
    pub functionref: FunctionReference,
    /// HTTP method; POST when absent.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Path appended to the function's URL; `/` when absent.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// What the platform says of a timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeTriggerStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Scheduled` and `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
