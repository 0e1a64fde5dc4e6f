//! From a Rust type to its CustomResourceDefinition: what the derive cannot say is added here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

use crate::kinds::KINDS;

/// Default of one field: its dotted path (`[]` for the items of a list) and the value as JSON.
pub(crate) type FieldDefault = (&'static str, &'static str);

/// The structural schema of a kind, as published in its CRD and in OpenAPI documents; `None` for unknown kinds.
pub fn schema(kind: &str) -> Option<&'static Value> {
    static SCHEMAS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
        let schema_of = |info: &crate::KindInfo| {
            let crd = (info.crd)();
            let schema = crd.spec.versions.into_iter().next().and_then(|version| version.schema);
            schema.and_then(|schema| serde_json::to_value(schema.open_api_v3_schema).ok()).unwrap_or_default()
        };
        KINDS.iter().map(|info| (info.kind, schema_of(info))).collect()
    });
    SCHEMAS.get(kind)
}

/// Makes a derived CRD agree with the contract: labels, required root keys, nullable lists and maps, and only the
/// defaults the contract names (the derive would publish every Rust default as one the API server writes).
pub(crate) fn finish(mut crd: CustomResourceDefinition, defaults: &[FieldDefault]) -> CustomResourceDefinition {
    crd.metadata.labels = Some(BTreeMap::from([("group".to_owned(), crate::GROUP.to_owned())]));
    for version in &mut crd.spec.versions {
        let Some(validation) = version.schema.take() else { continue };
        let Ok(mut schema) = serde_json::to_value(&validation) else { continue };
        if let Some(root) = schema.get_mut("openAPIV3Schema") {
            tidy_node(root);
            add_root_keys(root);
            for (path, value) in defaults {
                set_default(root, path, serde_json::from_str(value).unwrap_or_default());
            }
        }
        version.schema = serde_json::from_value(schema).ok();
    }
    crd
}

fn add_root_keys(root: &mut Value) {
    root["required"] = json!(["metadata", "spec"]);
    root["properties"]["apiVersion"] =
        json!({ "type": "string", "description": "Group and version of the kind: fission.io/v1." });
    root["properties"]["kind"] = json!({ "type": "string", "description": "Name of the kind." });
    root["properties"]["metadata"] = json!({ "type": "object" });
}

fn tidy_node(node: &mut Value) {
    let Some(object) = node.as_object_mut() else { return };
    object.remove("default");
    let required: Vec<String> = object
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, child) in properties {
            tidy_node(child);
            if !required.contains(name) && child.as_object().is_some_and(is_list_or_map) {
                child["nullable"] = json!(true);
            }
        }
    }
    for inner in ["items", "additionalProperties", "not"] {
        if let Some(child) = object.get_mut(inner) {
            tidy_node(child);
        }
    }
}

fn is_list_or_map(node: &Map<String, Value>) -> bool {
    node.get("type").is_some_and(|kind| kind == "array") || node.contains_key("additionalProperties")
}

fn set_default(root: &mut Value, path: &str, value: Value) {
    let mut node = root;
    for segment in path.split('.') {
        let name = segment.trim_end_matches("[]");
        node = &mut node["properties"][name];
        if segment.ends_with("[]") {
            node = &mut node["items"];
        }
    }
    node["default"] = value;
}

#[cfg(test)]
#[path = "crd_tests.rs"]
mod tests;
