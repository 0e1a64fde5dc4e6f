//! `FunctionVersion`: an immutable snapshot of a function.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::function::FunctionSpec;
use crate::wire::{is_default, null_default};

/// What a version records. It never changes once written.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "FunctionVersion",
    doc = "An immutable snapshot of a function.",
    plural = "functionversions",
    shortname = "fnver",
    namespaced,
    printcolumn = r#"{"name":"Sequence","type":"integer","jsonPath":".spec.sequence"}"#,
    printcolumn = r#"{"name":"PackageDigest","type":"string","jsonPath":".spec.packageDigest"}"#,
    printcolumn = r#"{"name":"PublishedAt","type":"date","jsonPath":".spec.publishedAt"}"#,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct FunctionVersionSpec {
    /// The function this is a version of.
    #[schemars(length(max = 63))]
    pub function_name: String,
    /// That function's uid.
    #[serde(rename = "functionUID")]
    pub function_uid: String,
    /// That function's generation when published.
    #[schemars(range(min = 1))]
    pub function_generation: i64,
    /// Number of the version, counted per function from 1.
    #[schemars(range(min = 1))]
    pub sequence: i64,
    /// The function's spec, without its `versioning` block.
    pub snapshot: FunctionSpec,
    /// Digest of the code.
    pub package_digest: String,
    /// When it was published.
    pub published_at: Time,
    /// Generation of the environment when published.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub env_observed_generation: i64,
    /// Runtime image of the environment when published.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub env_runtime_image: String,
}
