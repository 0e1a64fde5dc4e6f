//! Pod specs and containers users merge onto instances: what would break out of the sandbox is refused.

use serde_json::{Map, Value};

use crate::field_error::Found;

/// The only capability a container may add.
const ALLOWED_CAPABILITY: &str = "NET_BIND_SERVICE";
/// Pod fields that would share the host's namespaces or borrow another identity.
const FORBIDDEN_FIELDS: [&str; 5] = ["hostNetwork", "hostPID", "hostIPC", "serviceAccountName", "serviceAccount"];

/// Checks a whole pod spec.
pub(crate) fn check_pod_spec(path: &str, pod: &Map<String, Value>, found: &mut Found) {
    for field in FORBIDDEN_FIELDS {
        let set = match pod.get(field) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        };
        if set {
            found.forbidden(format!("{path}.{field}"), "may not be set: functions are kept apart from the host");
        }
    }
    for (index, volume) in list(pod, "volumes").enumerate() {
        if volume.get("hostPath").is_some_and(|value| !value.is_null()) {
            found.forbidden(format!("{path}.volumes[{index}].hostPath"), "may not mount directories of the host");
        }
    }
    for kind in ["containers", "initContainers"] {
        for (index, container) in list(pod, kind).enumerate() {
            if let Some(container) = container.as_object() {
                check_container(&format!("{path}.{kind}[{index}]"), container, found);
            }
        }
    }
}

/// Checks one container.
pub(crate) fn check_container(path: &str, container: &Map<String, Value>, found: &mut Found) {
    let Some(context) = container.get("securityContext").and_then(Value::as_object) else { return };
    for field in ["privileged", "allowPrivilegeEscalation"] {
        if context.get(field) == Some(&Value::Bool(true)) {
            found.forbidden(format!("{path}.securityContext.{field}"), "may not be true");
        }
    }
    let added = context.get("capabilities").and_then(|capabilities| capabilities.get("add")).and_then(Value::as_array);
    for (index, capability) in added.into_iter().flatten().enumerate() {
        if capability != ALLOWED_CAPABILITY {
            let at = format!("{path}.securityContext.capabilities.add[{index}]");
            found.not_supported(at, crate::structural::plain(capability), &[ALLOWED_CAPABILITY]);
        }
    }
}

/// The items of a list field; none when it is absent or no list.
pub(crate) fn list<'a>(object: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}
