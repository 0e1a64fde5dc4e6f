//! `HTTPTrigger`: which requests reach which function.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::reference::FunctionReference;
use crate::wire::{is_default, null_default};

/// Methods a route may match.
pub const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

/// What a user declares of a route.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "fission.io",
    version = "v1",
    kind = "HTTPTrigger",
    doc = "Which requests reach which function.",
    plural = "httptriggers",
    namespaced,
    status = "HTTPTriggerStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct HTTPTriggerSpec {
    /// Host to match; empty matches any. Deprecated.
    #[serde(default, deserialize_with = "null_default")]
    pub host: String,
    /// Exact path or template. The key is always present.
    #[serde(rename = "relativeurl", default, deserialize_with = "null_default")]
    pub relative_url: String,
    /// Subtree to match; wins over `relativeurl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the prefix stays on the path the function sees.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub keep_prefix: bool,
    /// Methods to match; empty together with `method` matches nothing.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "methods_schema")]
    pub methods: Vec<String>,
    /// Deprecated single method, merged into `methods`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(schema_with = "method_schema")]
    pub method: String,
    /// The function called.
    pub functionref: FunctionReference,
    /// Whether to create an Ingress. Deprecated.
    #[serde(rename = "createingress", default, deserialize_with = "null_default")]
    pub create_ingress: bool,
    /// Shape of that Ingress.
    #[serde(rename = "ingressconfig", default, deserialize_with = "null_default")]
    pub ingress_config: IngressConfig,
    /// Ingress or Gateway route to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_config: Option<RouteConfig>,
    /// Empty or `async`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["", "async"]))]
    pub invocation_mode: String,
    /// CORS answered by the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors_config: Option<CorsConfig>,
}

/// Shape of the Ingress of a route. Deprecated, but always sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngressConfig {
    /// Annotations of the Ingress; `null` when unused.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Path of the rule.
    #[serde(default, deserialize_with = "null_default")]
    pub path: String,
    /// Host of the rule; `*` for any.
    #[serde(default, deserialize_with = "null_default")]
    pub host: String,
    /// TLS Secret name.
    #[serde(default, deserialize_with = "null_default")]
    pub tls: String,
}

/// The Ingress or Gateway route made for a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteConfig {
    /// `ingress` or `gateway`.
    #[schemars(extend("enum" = ["ingress", "gateway"]))]
    pub provider: String,
    /// Hosts; empty for any.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub hostnames: Vec<String>,
    /// Absolute path; `/` when empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Copied onto the generated object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// TLS Secret name; not with `gateway`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub tls: String,
    /// Required with `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayConfig>,
}

/// Where a Gateway route is attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayConfig {
    /// The Gateways; at least one.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub parent_refs: Vec<ParentRef>,
}

/// A Gateway a route is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The Gateway's name.
    pub name: String,
    /// The Gateway's namespace; the route's when empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// One listener of it.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub section_name: String,
    /// One port of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// Cross-origin rules of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CorsConfig {
    /// Origins allowed; `*` for any; empty allows none.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allow_origins: Vec<String>,
    /// Methods allowed; the trigger's own when empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allow_methods: Vec<String>,
    /// Request headers allowed.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allow_headers: Vec<String>,
    /// Response headers scripts may read.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub expose_headers: Vec<String>,
    /// Whether credentials may be sent; not with `*`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub allow_credentials: bool,
    /// How long a preflight answer may be cached, as a Go duration.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub max_age: String,
}

/// What the platform says of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HTTPTriggerStatus {
    /// Generation these conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `RouteAdmitted` and `Ready`; `Exposed` where an Ingress or a Gateway route is asked for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

fn methods_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": METHODS },
        "x-kubernetes-list-type": "set",
    })
}

fn method_schema(_: &mut SchemaGenerator) -> Schema {
    let allowed: Vec<&str> = std::iter::once("").chain(METHODS).collect();
    json_schema!({ "type": "string", "enum": allowed })
}

impl HTTPTriggerSpec {
    /// `methods` and the deprecated `method` together, in that order, without duplicates.
    pub fn all_methods(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::with_capacity(self.methods.len() + 1);
        for method in self.methods.iter().chain(std::iter::once(&self.method)) {
            if !method.is_empty() && !all.contains(&method.as_str()) {
                all.push(method);
            }
        }
        all
    }

    /// The prefix when one is set and not empty.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref().filter(|prefix| !prefix.is_empty())
    }
}
