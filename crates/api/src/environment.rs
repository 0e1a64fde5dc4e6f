//! `Environment`: a language runtime that functions are loaded into, and optionally how to build for it.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{Opaque, is_default, null_default};

/// Pool size of environments of version 1 and 2, and the CLI's default for version 3.
pub const DEFAULT_POOL_SIZE: i64 = 3;
/// Seconds an instance may take to end when `terminationGracePeriod` is absent.
pub const DEFAULT_TERMINATION_GRACE_SECONDS: i64 = 90;

/// What a user declares of an environment.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "Environment",
    doc = "A language runtime that functions are loaded into, and optionally how to build for it.",
    plural = "environments",
    namespaced,
    status = "EnvironmentStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// 1: one file, no builder. 2: builders. 3: builders and a pool size of choice. Immutable.
    #[schemars(range(min = 1, max = 3))]
    pub version: i64,
    /// The image functions run in.
    pub runtime: Runtime,
    /// The image sources are built with.
    #[serde(default, deserialize_with = "null_default")]
    pub builder: Builder,
    /// Whether one instance may hold several functions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_functions_per_container: Option<AllowedFunctions>,
    /// Only meaningful under a service mesh.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub allow_access_to_external_network: bool,
    /// CPU and memory of each instance.
    #[serde(default, deserialize_with = "null_default")]
    pub resources: ResourceRequirements,
    /// Warm generic instances kept; 0 keeps none. Ignored below version 3.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub poolsize: i64,
    /// Seconds an instance may take to end; absent means 90, 0 means at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub termination_grace_period: Option<i64>,
    /// Whether an archive is given to the environment without being unpacked.
    #[serde(default, deserialize_with = "null_default")]
    pub keeparchive: bool,
    /// Pull secret of the runtime and builder images.
    #[serde(default, deserialize_with = "null_default")]
    pub imagepullsecret: String,
}

/// Whether instances are shared between functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllowedFunctions {
    /// One function per instance.
    Single,
    /// Any number of functions in one instance.
    Infinite,
}

/// The image functions run in, and what is merged onto its container and pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runtime {
    /// Image name; on one machine it names a built-in environment.
    pub image: String,
    /// Merged onto the runtime container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Opaque>,
    /// Merged onto the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub podspec: Option<Opaque>,
}

/// The image sources are built with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Builder {
    /// Image name; empty means the environment cannot build.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Default build command.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Merged onto the builder container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Opaque>,
    /// Merged onto the builder pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub podspec: Option<Opaque>,
}

/// What the platform says of an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl EnvironmentSpec {
    /// Warm generic instances to keep: [`DEFAULT_POOL_SIZE`] below version 3, else `poolsize`.
    pub fn pool_size(&self) -> i64 {
        if self.version < 3 { DEFAULT_POOL_SIZE } else { self.poolsize.max(0) }
    }

    /// Seconds an instance may take to end, default applied.
    pub fn grace_seconds(&self) -> i64 {
        self.termination_grace_period.unwrap_or(DEFAULT_TERMINATION_GRACE_SECONDS).max(0)
    }
}
