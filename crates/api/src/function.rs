//! `Function`: code, the environment it runs in, and how its instances are made, shared and removed.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::function_options::{
    InvocationConfig, ProvisionedConcurrency, StateConfig, StreamingConfig, ToolConfig, VersioningConfig,
};
use crate::wire::{Opaque, is_default, null_default};

/// Seconds a request may take when `functionTimeout` is 0.
pub const DEFAULT_TIMEOUT_SECONDS: i64 = 60;
/// Seconds an idle instance lives when `idletimeout` is absent.
pub const DEFAULT_IDLE_TIMEOUT_SECONDS: i64 = 120;
/// Instances one function may have when `concurrency` is 0.
pub const DEFAULT_CONCURRENCY: i64 = 500;
/// Requests one instance serves at once when `requestsPerPod` is 0.
pub const DEFAULT_REQUESTS_PER_POD: i64 = 1;
/// Seconds a specialization may take; smaller values are raised to it.
pub const DEFAULT_SPECIALIZATION_TIMEOUT_SECONDS: i64 = 120;

/// What a user declares of a function.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "Function",
    doc = "Code, the environment it runs in, and how its instances are made, shared and removed.",
    plural = "functions",
    shortname = "fn",
    namespaced,
    status = "FunctionStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["environment", "package", "InvokeStrategy"]))]
pub struct FunctionSpec {
    /// Environment the function runs in; its name may be empty for the container executor.
    #[serde(default, deserialize_with = "null_default")]
    pub environment: EnvironmentReference,
    /// The code and its entry point.
    #[serde(default, deserialize_with = "null_default")]
    pub package: FunctionPackageRef,
    /// Secrets delivered as files below `/secrets`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Option<Vec<ObjectFileReference>>,
    /// Config maps delivered as files below `/configs`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub configmaps: Option<Vec<ObjectFileReference>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<EnvVar>>,
    /// Whole secrets or config maps as environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<EnvFromSource>>,
    /// CPU and memory of an instance; overrides the environment's.
    #[serde(default, deserialize_with = "null_default")]
    pub resources: ResourceRequirements,
    /// How instances are made.
    #[serde(rename = "InvokeStrategy", default, deserialize_with = "null_default")]
    pub invoke_strategy: InvokeStrategy,
    /// Seconds a request may take; 0 means 60.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub function_timeout: i64,
    /// Seconds an idle instance lives; absent means 120, 0 means at once.
    #[serde(rename = "idletimeout", default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<i64>,
    /// Most instances at once; 0 means 500.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub concurrency: i64,
    /// Most requests an instance serves at once; 0 means 1.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub requests_per_pod: i64,
    /// Whether an instance serves exactly one request and is then removed.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub once_only: bool,
    /// Specialized instances kept although idle.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub retain_pods: i64,
    /// Pod template of the container executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub podspec: Option<Opaque>,
    /// How long-lived answers are proxied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<StreamingConfig>,
    /// How the function is offered as a tool to language models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolConfig>,
    /// Keyed state the function may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateConfig>,
    /// How asynchronous calls are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<InvocationConfig>,
    /// Instances kept specialized before anyone asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned_concurrency: Option<ProvisionedConcurrency>,
    /// Whether versions are published; absent means not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versioning: Option<VersioningConfig>,
}

/// The environment of a function or package; always in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["namespace"]))]
pub struct EnvironmentReference {
    /// Empty, or the namespace of the referring object.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
    /// The environment's name.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Code and entry point of a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionPackageRef {
    /// The Package that holds the code.
    #[serde(rename = "packageref", default, deserialize_with = "null_default")]
    pub package_ref: PackageRef,
    /// Entry point given to the environment; its meaning is the language's.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub function_name: String,
}

/// A Package by name, stamped with the version last deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageRef {
    /// Empty, or the function's namespace.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
    /// The Package's name.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Resource version of the Package this function was last stamped with; a change redeploys the function.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub resourceversion: String,
}

/// A Secret or ConfigMap delivered as files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectFileReference {
    /// Must equal the function's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Directory below the root instead of `<namespace>/<name>`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub mount_path: String,
}

/// How instances of a function are made and scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InvokeStrategy {
    /// Settings of the only strategy there is.
    #[serde(default, deserialize_with = "null_default")]
    pub execution_strategy: ExecutionStrategy,
    /// Empty or `execution`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(extend("enum" = ["", "execution"]))]
    pub strategy_type: String,
}

/// Which executor strategy serves the function, and its scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutionStrategy {
    /// Pool manager, new deployment or container.
    #[serde(default, deserialize_with = "null_default")]
    pub executor_type: ExecutorType,
    /// Least instances; 0 scales from zero.
    #[serde(default, deserialize_with = "null_default")]
    pub min_scale: i64,
    /// Most instances; required above 0 for newdeploy and container.
    #[serde(default, deserialize_with = "null_default")]
    pub max_scale: i64,
    /// Deprecated autoscaling target.
    #[serde(rename = "TargetCPUPercent", default, deserialize_with = "null_default")]
    #[schemars(range(min = 0, max = 100))]
    pub target_cpu_percent: i64,
    /// Seconds a cold start may take.
    #[serde(default, deserialize_with = "null_default")]
    pub specialization_timeout: i64,
    /// `autoscaling/v2` metrics.
    #[serde(rename = "hpaMetrics", default, skip_serializing_if = "Option::is_none")]
    pub hpa_metrics: Option<Vec<Opaque>>,
    /// `autoscaling/v2` behaviour.
    #[serde(rename = "hpaBehavior", default, skip_serializing_if = "Option::is_none")]
    pub hpa_behavior: Option<Opaque>,
}

/// The strategy that makes a function's instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExecutorType {
    /// Not said; means [`ExecutorType::Poolmgr`].
    #[default]
    #[serde(rename = "")]
    Unset,
    /// Specialize a warm generic instance from the environment's pool.
    #[serde(rename = "poolmgr")]
    Poolmgr,
    /// Instances of the function's own, scaled between a minimum and a maximum.
    #[serde(rename = "newdeploy")]
    Newdeploy,
    /// The user's own container image.
    #[serde(rename = "container")]
    Container,
}

/// What the platform says of a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Provisioned instances aimed at, after clamping.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub provisioned_target: i64,
    /// Provisioned instances asked for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub provisioned_spec_target: i64,
    /// Provisioned instances ready.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub provisioned_ready: i64,
    /// `Ready`, `PackageReady` and others.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl FunctionSpec {
    /// The request timeout in seconds, default applied.
    pub fn timeout_seconds(&self) -> i64 {
        positive_or(self.function_timeout, DEFAULT_TIMEOUT_SECONDS)
    }

    /// Seconds an idle instance lives, default applied; never negative.
    pub fn idle_timeout_seconds(&self) -> i64 {
        self.idle_timeout.unwrap_or(DEFAULT_IDLE_TIMEOUT_SECONDS).max(0)
    }

    /// Most instances at once, default applied.
    pub fn concurrency(&self) -> i64 {
        positive_or(self.concurrency, DEFAULT_CONCURRENCY)
    }

    /// Most requests per instance at once, default applied. A once-only function always serves one.
    pub fn requests_per_pod(&self) -> i64 {
        if self.once_only { 1 } else { positive_or(self.requests_per_pod, DEFAULT_REQUESTS_PER_POD) }
    }

    /// The executor strategy, default applied.
    pub fn executor_type(&self) -> ExecutorType {
        match self.invoke_strategy.execution_strategy.executor_type {
            ExecutorType::Unset => ExecutorType::Poolmgr,
            other => other,
        }
    }

    /// Seconds a cold start may take; never below [`DEFAULT_SPECIALIZATION_TIMEOUT_SECONDS`].
    pub fn specialization_timeout_seconds(&self) -> i64 {
        self.invoke_strategy.execution_strategy.specialization_timeout.max(DEFAULT_SPECIALIZATION_TIMEOUT_SECONDS)
    }
}

fn positive_or(value: i64, default: i64) -> i64 {
    if value > 0 { value } else { default }
}
