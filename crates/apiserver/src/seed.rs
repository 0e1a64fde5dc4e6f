//! What exists from the start: the namespaces the platform needs, and the definitions of its kinds.

use fission_api::kinds::KINDS;
use serde_json::{Value, json};

use crate::admission::now;
use crate::registry::{self, CRDS, NAMESPACES};
use crate::storage::{Draft, Key};

/// Namespaces the platform needs.
pub(crate) const NAMESPACES_KEPT: &[&str] = &["default", "fission"];

/// Everything that must exist, in the order it must come to exist.
pub(crate) fn objects() -> Vec<(Key, Draft)> {
    let time = now();
    let namespaces = NAMESPACES_KEPT.iter().map(|name| {
        let mut object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name, &time) });
        if let Some(resource) = registry::by_id(NAMESPACES) {
            (resource.default)(&mut object);
        }
        (Key::new(NAMESPACES, "", name), Draft::new(&object))
    });
    let definitions = KINDS.iter().map(|info| {
        let mut object = serde_json::to_value((info.crd)()).unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        let labels = object["metadata"]["labels"].take();
        object["metadata"] = metadata(&name, &time);
        if labels.is_object() {
            object["metadata"]["labels"] = labels;
        }
        object["apiVersion"] = "apiextensions.k8s.io/v1".into();
        object["kind"] = "CustomResourceDefinition".into();
        let names = &object["spec"]["names"];
        let condition = |kind: &str, reason: &str| {
            json!({ "type": kind, "status": "True", "reason": reason, "message": "built in", "lastTransitionTime": time })
        };
        object["status"] = json!({
            "acceptedNames": names, "storedVersions": [fission_api::VERSION],
            "conditions": [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")],
        });
        (Key::new(CRDS, "", &name), Draft::new(&object))
    });
    namespaces.chain(definitions).collect()
}

fn metadata(name: &str, time: &str) -> Value {
    json!({ "name": name, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": time })
}
