//! The optional blocks of a function: streaming, tool, state, asynchronous invocation, provisioned concurrency, versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::FunctionReference;
use crate::wire::{AnyJson, is_default, null_default};
use crate::workflow::RetryPolicy;

/// How long-lived answers of a function are proxied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamingConfig {
    /// `auto`, `sse`, `chunked` or `websocket`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["auto", "sse", "chunked", "websocket"]))]
    pub protocol: String,
    /// Seconds of silence after which the answer is cut; 0 means 60.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub idle_timeout_seconds: i64,
    /// Seconds after which the answer is cut in any case; 0 means never.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub max_duration_seconds: i64,
}

/// How a function is offered as a tool to language models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolConfig {
    /// What the tool does, for the model.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// JSON Schema of the input, passed on as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<AnyJson>,
    /// Name offered; `<namespace>-<function>` when empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub tool_name: String,
    /// Serve calls through this FunctionAlias.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

/// Keyed state a function may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateConfig {
    /// Namespace of the keys; the function's name when empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub keyspace: String,
    /// Life of a key, as a Go duration; empty means for ever.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty",
        rename = "defaultTTL"
    )]
    pub default_ttl: String,
    /// Largest value in bytes; 0 means 262144.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub max_value_bytes: i64,
    /// Most keys; 0 means 10000.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub max_keys: i64,
    /// Reserved; nothing reads it.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// Which part of a request chooses the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyConfig>,
}

/// Which part of a request chooses the instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StickyConfig {
    /// `header` or `queryparam`.
    #[schemars(extend("enum" = ["header", "queryparam"]))]
    pub source: String,
    /// Name of the header or parameter.
    pub name: String,
}

/// How asynchronous calls of a function are delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvocationConfig {
    /// How failed calls are tried again; at most 3 attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Oldest call still delivered, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub max_age: String,
    /// Where the result of a call goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Destination>,
    /// Where a call goes that was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Destination>,
}

/// Where the result of an asynchronous call goes: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// A function, by name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionReference>,
    /// A topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicDestination>,
}

/// A topic results are sent to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicDestination {
    /// `statestore` or `kafka`.
    pub message_queue_type: String,
    /// The topic's name.
    pub topic: String,
}

/// Instances kept specialized before anyone asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisionedConcurrency {
    /// Instances kept outside every window.
    #[schemars(range(min = 1))]
    pub target: i64,
    /// Times with another target.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub windows: Vec<ProvisionedWindow>,
}

/// A time with its own number of provisioned instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisionedWindow {
    /// Name of the window.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it begins, as a cron schedule.
    pub start: String,
    /// How long it lasts, as a Go duration of one unit.
    #[schemars(regex(pattern = r"^[0-9]+(ns|us|µs|ms|s|m|h)$"))]
    pub duration: String,
    /// Instances kept during it.
    #[schemars(range(min = 0))]
    pub target: i64,
}

/// Whether and how versions of a function are published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersioningConfig {
    /// `auto` publishes on every change of the spec, `manual` on command.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["auto", "manual"]))]
    pub mode: String,
    /// Versions kept that no alias names; absent means 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub retain: Option<i64>,
}
