//! `MessageQueueTrigger`: a function called for each message of a topic.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::FunctionReference;
use crate::wire::{Opaque, null_default};

/// What a user declares of a queue binding.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "MessageQueueTrigger",
    doc = "A function called for each message of a topic.",
    plural = "messagequeuetriggers",
    namespaced,
    status = "MessageQueueTriggerStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueueTriggerSpec {
    /// The function called.
    #[serde(default, deserialize_with = "null_default")]
    pub functionref: FunctionReference,
    /// The broker: `kafka`, `statestore` and, with KEDA, several more.
    #[serde(default, deserialize_with = "null_default")]
    pub message_queue_type: String,
    /// Where messages come from.
    pub topic: String,
    /// Where answers go; empty drops them.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub resp_topic: String,
    /// Where messages go whose calls failed; empty drops them.
    #[serde(default, deserialize_with = "null_default")]
    pub error_topic: String,
    /// Attempts after the first before a message goes to `errorTopic`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(range(min = 0))]
    pub max_retries: i64,
    /// Content-Type of the call.
    #[serde(default, deserialize_with = "null_default")]
    pub content_type: String,
    /// Seconds between looks at the queue (KEDA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_interval: Option<i32>,
    /// Seconds without messages before scaling to zero (KEDA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_period: Option<i32>,
    /// Least connectors (KEDA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replica_count: Option<i32>,
    /// Most connectors (KEDA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replica_count: Option<i32>,
    /// Settings of the broker; always sent, `null` when unused.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Secret with the broker's credentials, in the trigger's namespace.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// Empty, `fission` or `keda`: who consumes the queue.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "fission", "keda"]))]
    pub mqtkind: String,
    /// Merged onto the connector's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub podspec: Option<Opaque>,
}

/// What the platform says of a queue binding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueueTriggerStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `BindingReady` and `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
