//! Environment variables: which names the platform keeps for itself, and those a container declares with their values.

use serde_json::Value;

use crate::Opaque;

/// Prefix no user variable may start with.
const RESERVED_PREFIX: &str = "FISSION_";

/// Names a user variable may not have: the platform sets them, or they would change what code the runtime loads.
const RESERVED_NAMES: &[&str] = &[
    "RESOURCE_VERSION_COUNT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "PYTHONPATH",
];

/// Whether the platform keeps the name of an environment variable for itself.
pub fn is_reserved_variable(name: &str) -> bool {
    name.starts_with(RESERVED_PREFIX) || RESERVED_NAMES.contains(&name)
}

/// The variables of a pod's first container, then those of a container, as a machine without Kubernetes can give them:
/// values only. A later one of the same name is to win. An error names the variable that cannot be had.
pub fn literal_variables(
    podspec: Option<&Opaque>,
    container: Option<&Opaque>,
) -> Result<Vec<(String, String)>, String> {
    let pod = podspec.and_then(|Opaque(pod)| pod.get("containers")?.as_array()?.first());
    let container = container.map(|Opaque(container)| container);
    let mut all = Vec::new();
    for list in [pod.and_then(Value::as_object), container].into_iter().flatten().filter_map(|c| c.get("env")) {
        for entry in list.as_array().into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let name = text("name");
            check_variable_name(&name)?;
            if entry.get("valueFrom").is_some_and(|from| !from.is_null()) {
                return Err(format!(
                    "environment variable {name} takes its value from elsewhere (valueFrom), which this machine cannot \
                     give it; set `value` instead"
                ));
            }
            all.push((name, text("value")));
        }
    }
    Ok(all)
}

/// Whether the system can have a variable of this name; the error says which cannot be.
pub fn check_variable_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("{name:?} is not the name of an environment variable"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_had_and_what_comes_from_elsewhere_or_has_no_name_is_told() {
        let of = |entry: Value| {
            let container = serde_json::from_value(json!({ "env": [entry] })).unwrap();
            literal_variables(None, Some(&container))
        };
        assert_eq!(of(json!({ "name": "A", "value": "1" })), Ok(vec![("A".to_owned(), "1".to_owned())]));
        let elsewhere = of(json!({ "name": "A", "valueFrom": { "secretKeyRef": {} } })).unwrap_err();
        assert!(elsewhere.contains("variable A takes its value from elsewhere"), "{elsewhere}");
        for wrong in ["", "A=B", "A\0"] {
            assert!(of(json!({ "name": wrong, "value": "1" })).is_err(), "{wrong:?}");
        }
    }
}
