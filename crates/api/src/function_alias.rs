//! `FunctionAlias`: a name that points at one version of a function, or splits between two.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::null_default;

/// What a user declares of an alias.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "FunctionAlias",
    doc = "A name that points at one version of a function, or splits between two.",
    plural = "functionaliases",
    shortname = "fnalias",
    namespaced,
    status = "FunctionAliasStatus",
    printcolumn = r#"{"name":"Function","type":"string","jsonPath":".spec.functionName"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version"}"#,
    printcolumn = r#"{"name":"Weight","type":"integer","jsonPath":".spec.weight"}"#,
    printcolumn = r#"{"name":"ResolvedVersion","type":"string","jsonPath":".status.resolvedVersion"}"#,
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct FunctionAliasSpec {
    /// The function whose versions this names.
    #[schemars(length(max = 63))]
    pub function_name: String,
    /// The version; excludes `packageDigest`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The newest version with this code; excludes `version`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub package_digest: String,
    /// Percent that goes to the primary version; the rest goes to `secondaryVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<i64>,
    /// The version that gets what the primary does not.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub secondary_version: String,
}

/// A target an alias no longer points at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AliasHistoryEntry {
    /// The version left.
    pub version: String,
    /// Its code.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub package_digest: String,
    /// When the alias left it.
    pub switched_at: Time,
}

/// What the platform says of an alias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionAliasStatus {
    /// The version the alias points at now.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub resolved_version: String,
    /// Former targets, newest last.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<AliasHistoryEntry>,
    /// `Resolved` and `EnvDrift`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
