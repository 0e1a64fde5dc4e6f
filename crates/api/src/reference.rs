//! How triggers name the function they call.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::null_default;

/// How a [`FunctionReference`] picks its function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FunctionReferenceType {
    /// One function, by name.
    #[default]
    #[serde(rename = "name")]
    Name,
    /// Several functions, by weight.
    #[serde(rename = "function-weights")]
    Weights,
}

/// A function in the trigger's own namespace. There is no namespace field: references never cross namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["type", "name"]))]
pub struct FunctionReference {
    /// How to pick the function.
    #[serde(rename = "type")]
    pub kind: FunctionReferenceType,
    /// The function's name; empty, but present, when `type` is `function-weights`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(length(max = 63))]
    pub name: String,
    /// Follow this FunctionAlias. Excludes `version`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub alias: String,
    /// Pin this FunctionVersion. Excludes `alias`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub version: String,
    /// Weight by function name; always sent, `null` when unused.
    #[serde(default)]
    pub functionweights: Option<BTreeMap<String, i64>>,
}

impl FunctionReference {
    /// A reference to one function by name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}
