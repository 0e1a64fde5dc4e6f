//! Which Secrets and ConfigMaps objects refer to.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::Exported;

/// A Secret or ConfigMap by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

const SECRET: &str = "Secret";
const CONFIG_MAP: &str = "ConfigMap";

/// Fields that hold a reference, wherever they are: in our specs and in pod specs within them.
const FIELDS: [(&str, &str, &str); 8] = [
    ("secretRef", "name", SECRET),
    ("secretKeyRef", "name", SECRET),
    ("secret", "secretName", SECRET),
    ("secret", "name", SECRET), // of a projected volume
    ("configMapRef", "name", CONFIG_MAP),
    ("configMapKeyRef", "name", CONFIG_MAP),
    ("configMap", "name", CONFIG_MAP),
    ("imagePullSecrets", "name", SECRET),
];
/// Lists of functions: each entry has a name and, before defaults, perhaps a namespace.
const LISTS: [(&str, &str); 2] = [("secrets", SECRET), ("configmaps", CONFIG_MAP)];
/// Fields that are the name of a secret themselves.
const NAMES: [&str; 2] = ["imagepullsecret", "secret"];

/// Every reference, once each.
pub(super) fn of(objects: &[Exported]) -> Vec<Reference> {
    let mut found = BTreeSet::new();
    for object in objects {
        walk(&object.value["spec"], &object.namespace, &mut found);
    }
    found.into_iter().collect()
}

fn walk(value: &Value, namespace: &str, found: &mut BTreeSet<Reference>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| walk(value, namespace, found)),
        Value::Object(fields) => {
            for (field, value) in fields {
                of_field(field, value, namespace, found);
                walk(value, namespace, found);
            }
        }
        _ => {}
    }
}

fn of_field(field: &str, value: &Value, namespace: &str, found: &mut BTreeSet<Reference>) {
    let mut add = |kind: &'static str, holder: &Value, name: &Value| {
        let Some(name) = name.as_str().filter(|name| !name.is_empty()) else { return };
        let own = holder["namespace"].as_str().filter(|own| !own.is_empty());
        found.insert(Reference { kind, namespace: own.unwrap_or(namespace).to_owned(), name: name.to_owned() });
    };
    let entries = |value: &Value| match value {
        Value::Array(all) => all.clone(),
        other => vec![other.clone()],
    };
    for (_, key, kind) in FIELDS.iter().filter(|(name, _, _)| *name == field) {
        entries(value).iter().for_each(|entry| add(kind, entry, &entry[*key]));
    }
    for (_, kind) in LISTS.iter().filter(|(name, _)| *name == field) {
        entries(value).iter().for_each(|entry| add(kind, entry, &entry["name"]));
    }
    if NAMES.contains(&field) {
        add(SECRET, &Value::Null, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_in_specs_and_in_pod_specs() {
        let spec = json!({
            "secrets": [{ "name": "token", "namespace": "team" }], "configmaps": [{ "name": "settings" }],
            "imagepullsecret": "pull", "secret": "kafka",
            "podspec": {
                "volumes": [{ "secret": { "secretName": "tls" } }, { "configMap": { "name": "files" } }],
                "containers": [{ "envFrom": [{ "secretRef": { "name": "all" } }],
                    "env": [{ "valueFrom": { "configMapKeyRef": { "name": "one", "key": "k" } } }] }],
                "imagePullSecrets": [{ "name": "registry" }],
            },
        });
        let object = Exported {
            kind: "Function".to_owned(),
            namespace: "team".to_owned(),
            name: "f".to_owned(),
            value: json!({ "spec": spec }),
            only_spec_apply: false,
        };
        let found: Vec<String> = of(&[object]).iter().map(ToString::to_string).collect();
        let expected = [
            "ConfigMap team/files",
            "ConfigMap team/one",
            "ConfigMap team/settings",
            "Secret team/all",
            "Secret team/kafka",
            "Secret team/pull",
            "Secret team/registry",
            "Secret team/tls",
            "Secret team/token",
        ];
        assert_eq!(found, expected);
    }
}
