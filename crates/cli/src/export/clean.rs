//! An object without what only its server knows.

use serde_json::{Map, Value, json};

/// Annotations other tools keep their books in; on another platform they would be wrong.
const BOOKS: [&str; 3] =
    ["kubectl.kubernetes.io/last-applied-configuration", fission_api::labels::SPEC_NAME, fission_api::labels::SPEC_UID];

/// Name, namespace, labels and annotations stay, and everything but the status. Owners and finalizers go: they are
/// made again by whoever made them.
pub(super) fn cleaned(object: &Value, api_version: &str, kind: &str) -> Value {
    let mut clean = object.as_object().cloned().unwrap_or_default();
    clean.remove("status");
    clean.insert("apiVersion".to_owned(), json!(api_version));
    clean.insert("kind".to_owned(), json!(kind));
    clean.insert("metadata".to_owned(), metadata(&object["metadata"]));
    let mut clean = Value::Object(clean);
    // The stamp that ties a function to a version of its package is a number of this server.
    for pointer in ["/spec/package/packageref", "/spec/snapshot/package/packageref"] {
        if let Some(reference) = clean.pointer_mut(pointer).and_then(Value::as_object_mut) {
            reference.remove("resourceversion");
        }
    }
    clean
}

fn metadata(metadata: &Value) -> Value {
    let mut clean = Map::new();
    for field in ["name", "namespace"] {
        if let Some(text) = metadata[field].as_str() {
            clean.insert(field.to_owned(), json!(text));
        }
    }
    for field in ["labels", "annotations"] {
        let mut map = metadata[field].as_object().cloned().unwrap_or_default();
        if field == "annotations" {
            map.retain(|key, _| !BOOKS.contains(&key.as_str()));
        }
        if !map.is_empty() {
            clean.insert(field.to_owned(), Value::Object(map));
        }
    }
    Value::Object(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml;

    #[test]
    fn what_only_the_server_knows_is_gone() {
        let object = json!({
            "metadata": {
                "name": "hello", "namespace": "default", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [], "finalizers": ["f"],
                "ownerReferences": [], "labels": {}, "annotations": {
                    "fission-uid": "1", "fission-name": "demo",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "yes",
                },
            },
            "spec": { "package": { "packageref": { "name": "p", "resourceversion": "12" } } },
            "status": { "conditions": [] },
        });
        let expected = json!({
            "apiVersion": "fission.io/v1", "kind": "Function",
            "metadata": { "name": "hello", "namespace": "default", "annotations": { "mine": "yes" } },
            "spec": { "package": { "packageref": { "name": "p" } } },
        });
        assert_eq!(cleaned(&object, "fission.io/v1", "Function"), expected);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "(yes|no|on|null|~|true|1e3|0x1f|007|12:30|-|---|\\.\\.\\.|2026-01-01|#a|a: b|&a|\\*a|!a|%a)\n?( b)?",
            "([a-z #:-]{0,9}\n){1,4}[ a-z]{0,4}",
        ];
        let leaf = prop_oneof![
            text.prop_map(Value::String),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(".{0,12}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_of_any_kind_is_read_as_it_was_written(kind in 0..fission_api::KINDS.len(), spec in any_value()) {
            let kind = fission_api::KINDS[kind].kind;
            let object = cleaned(&json!({ "metadata": { "name": "a" }, "spec": spec }), "fission.io/v1", kind);
            let text = yaml::text_of(&object).unwrap();
            let documents = yaml::documents(&text);
            prop_assert_eq!(documents.len(), 1, "{}", text);
            prop_assert_eq!(yaml::value_of(documents[0].text).unwrap(), object, "{}", text);
        }
    }
}
