//! Users' pod specs merged onto ours: what they may say is in [`ALLOWED`], how lists come together in [`LIST_KEYS`].
//!
//! The merge is Kubernetes' strategic one for the fields that matter: entries of a list with a key are merged by it,
//! other lists are replaced, and `null` says nothing, because Go clients send it for everything that is not set.

use serde_json::{Map, Value};

/// What a user's pod spec may hold. Service account, host namespaces and node name decide about rights and places, and are
/// the platform's.
const ALLOWED: &[&str] = &[
    "affinity",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostUsers",
    "imagePullSecrets",
    "initContainers",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priorityClassName",
    "readinessGates",
    "resources",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "setHostnameAsFQDN",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];
/// Fields that are the platform's and that clients write without meaning anything by it.
const IGNORED: &[&str] = &["automountServiceAccountToken", "restartPolicy", "serviceAccount", "serviceAccountName"];

/// Lists whose entries are merged, and by what.
const LIST_KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("env", "name"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ports", "containerPort"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];
/// Lists to which entries are added.
const ADDED: &[&str] = &["tolerations", "envFrom"];

/// Merges `patch` onto `base`.
pub(crate) fn merge(base: &mut Value, patch: &Value) {
    match patch {
        Value::Null => {}
        Value::Object(fields) => {
            if !base.is_object() {
                *base = Value::Object(Map::new());
            }
            let Value::Object(base) = base else { return };
            for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                merge_field(base.entry(key.clone()).or_insert(Value::Null), key, value);
            }
        }
        other => *base = other.clone(),
    }
}

fn merge_field(known: &mut Value, key: &str, value: &Value) {
    let by = LIST_KEYS.iter().find(|(list, _)| *list == key).map(|(_, by)| *by);
    match (value, by) {
        (Value::Array(more), Some(by)) => {
            if !known.is_array() {
                *known = Value::Array(Vec::new());
            }
            if let Value::Array(known) = known {
                merge_list(known, more, by);
            }
        }
        (Value::Array(more), None) if ADDED.contains(&key) && known.is_array() => {
            if let Value::Array(known) = known {
                known.extend(more.iter().cloned());
            }
        }
        _ => merge(known, value),
    }
}

fn merge_list(known: &mut Vec<Value>, more: &[Value], by: &str) {
    for entry in more.iter().filter(|entry| !entry.is_null()) {
        if let Some(one) = known.iter_mut().find(|one| one.get(by).is_some() && one.get(by) == entry.get(by)) {
            merge(one, entry);
            continue;
        }
        let mut fresh = Value::Null;
        merge(&mut fresh, entry);
        if !known.contains(&fresh) {
            known.push(fresh);
        }
    }
}

/// Merges what a user says of a pod onto ours. `own`: containers and volumes of ours, by name, that nobody changes. An
/// error names the field.
pub(crate) fn merge_users(pod: &mut Value, users: &Map<String, Value>, own: &[&str]) -> Result<(), String> {
    let mut wanted = Map::new();
    for (key, value) in users.iter().filter(|(key, value)| !value.is_null() && !IGNORED.contains(&key.as_str())) {
        if !ALLOWED.contains(&key.as_str()) {
            return Err(format!("podspec.{key} is the platform's to decide; take it out"));
        }
        wanted.insert(key.clone(), value.clone());
    }
    for list in ["containers", "initContainers", "volumes"] {
        for entry in wanted.get(list).and_then(Value::as_array).into_iter().flatten() {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
            if own.contains(&name) {
                return Err(format!("podspec.{list} has {name:?}, a name of the platform's own; choose another"));
            }
            if let Some(kind) = ["hostPath", "flexVolume"].into_iter().find(|kind| entry.get(kind).is_some()) {
                return Err(format!("podspec.{list} {name:?} uses {kind}, which gives access to the node"));
            }
            may_run(entry).map_err(|why| format!("podspec.{list} {name:?} {why}"))?;
        }
    }
    merge(pod, &Value::Object(wanted));
    Ok(())
}

/// Merges what a user says of one container onto ours.
pub(crate) fn merge_container(container: &mut Value, users: &Map<String, Value>) -> Result<(), String> {
    let mut users = users.clone();
    // It is found by name everywhere.
    users.remove("name");
    let users = Value::Object(users);
    may_run(&users).map_err(|why| format!("the container {why}"))?;
    merge(container, &users);
    Ok(())
}

fn may_run(container: &Value) -> Result<(), String> {
    let Some(security) = container.get("securityContext") else { return Ok(()) };
    if security.get("privileged").and_then(Value::as_bool) == Some(true) {
        return Err("is privileged".to_owned());
    }
    if security.get("allowPrivilegeEscalation").and_then(Value::as_bool) == Some(true) {
        return Err("allows privilege escalation".to_owned());
    }
    let added = security.pointer("/capabilities/add").and_then(Value::as_array);
    match added.into_iter().flatten().find(|capability| capability.as_str() != Some("NET_BIND_SERVICE")) {
        Some(capability) => Err(format!("adds the capability {capability}; only NET_BIND_SERVICE may be added")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn merged(mut base: Value, patch: Value) -> Value {
        merge(&mut base, &patch);
        base
    }

    fn users(pod: Value) -> Result<Value, String> {
        let mut base =
            json!({ "containers": [{ "name": "node" }, { "name": "fetcher" }], "serviceAccountName": "ours" });
        merge_users(&mut base, pod.as_object().unwrap(), &["fetcher"])?;
        Ok(base)
    }

    #[test]
    fn entries_of_lists_come_together_by_their_key_and_other_lists_are_replaced() {
        let base = json!({ "containers": [{ "name": "node", "args": ["a"], "env": [{ "name": "A", "value": "1" }] }] });
        let patch = json!({ "containers": [
            { "name": "node", "args": ["b"], "env": [{ "name": "A", "value": "2" }, { "name": "B", "value": "3" }] },
            { "name": "extra" },
        ] });
        let expected = json!({ "containers": [
            { "name": "node", "args": ["b"], "env": [{ "name": "A", "value": "2" }, { "name": "B", "value": "3" }] },
            { "name": "extra" },
        ] });
        assert_eq!(merged(base, patch), expected);
    }

    #[test]
    fn what_go_clients_send_as_null_changes_nothing() {
        let base = json!({ "nodeSelector": { "a": "b" }, "containers": [{ "name": "node" }] });
        assert_eq!(merged(base.clone(), json!({ "nodeSelector": null, "containers": null })), base);
    }

    #[test]
    fn fields_that_give_rights_are_refused_by_name() {
        for (pod, word) in [
            (json!({ "hostNetwork": true }), "hostNetwork"),
            (json!({ "nodeName": "n" }), "nodeName"),
            (json!({ "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] }), "hostPath"),
            (json!({ "containers": [{ "name": "fetcher" }] }), "fetcher"),
            (json!({ "containers": [{ "name": "x", "securityContext": { "privileged": true } }] }), "privileged"),
            (
                json!({ "initContainers": [{ "name": "x", "securityContext": { "capabilities": { "add": ["SYS_ADMIN"] } } }] }),
                "SYS_ADMIN",
            ),
        ] {
            let refused = users(pod).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_service_account_is_ours_whatever_a_user_says() {
        let merged = users(json!({ "serviceAccountName": "admin", "automountServiceAccountToken": true })).unwrap();
        assert_eq!(merged["serviceAccountName"], "ours");
        assert!(merged.get("automountServiceAccountToken").is_none());
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let keys = prop_oneof![Just("name"), Just("containers"), Just("env"), Just("args"), Just("x")];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((keys, inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn merging_the_same_twice_changes_nothing_more(base in json_value(), patch in json_value()) {
            // Lists to which entries are added are not in the generated keys.
            let once = merged(base, patch.clone());
            prop_assert_eq!(merged(once.clone(), patch), once);
        }
    }
}
