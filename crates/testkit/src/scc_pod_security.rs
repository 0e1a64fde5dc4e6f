//! The level `restricted` of Kubernetes' Pod Security Standards, as the admission of Kubernetes 1.36 enforces it.
//!
//! Unlike a constraint of OpenShift it completes nothing: what a pod does not say is refused.

use serde_json::{Value, json};

use crate::scc::{containers, kinds_of};

/// Volumes the level allows.
const VOLUMES: &[&str] =
    &["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
const SELINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SECCOMP: &[&str] = &["RuntimeDefault", "Localhost"];

/// Everything the spec of a pod does that the level `restricted` forbids; nothing when it may run.
pub fn violations(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let pod = &spec["securityContext"];
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[field] == true {
            found.push(format!("{field} is true"));
        }
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kinds = kinds_of(volume).filter(|kind| !VOLUMES.contains(kind));
        found.extend(kinds.map(|kind| format!("volume {} is a {kind}", volume["name"])));
    }
    if !pod["sysctls"].as_array().is_none_or(Vec::is_empty) {
        found.push("sysctls are set; here none is taken for safe".to_owned());
    }
    context("the pod", pod, &mut found);
    for (_, _, container) in containers(spec) {
        let name = format!("container {}", container["name"]);
        of_container(&name, container, pod, &mut found);
    }
    found
}

fn of_container(name: &str, container: &Value, pod: &Value, found: &mut Vec<String>) {
    let own = &container["securityContext"];
    context(name, own, found);
    if own["privileged"] == true {
        found.push(format!("{name}: privileged is true"));
    }
    if own["allowPrivilegeEscalation"] != false {
        found.push(format!("{name}: allowPrivilegeEscalation is not false"));
    }
    let capabilities = &own["capabilities"];
    if !capabilities["drop"].as_array().is_some_and(|dropped| dropped.contains(&json!("ALL"))) {
        found.push(format!("{name}: capabilities.drop has no ALL"));
    }
    for added in capabilities["add"].as_array().into_iter().flatten().filter(|added| **added != "NET_BIND_SERVICE") {
        found.push(format!("{name}: capabilities.add has {added}"));
    }
    let effective = |field: &str| if own[field].is_null() { pod[field].clone() } else { own[field].clone() };
    if effective("runAsNonRoot") != true {
        found.push(format!("{name}: runAsNonRoot is not true"));
    }
    if effective("seccompProfile").is_null() {
        found.push(format!("{name}: seccompProfile is not set"));
    }
    if !matches!(own["procMount"].as_str(), None | Some("Default")) {
        found.push(format!("{name}: procMount is {}", own["procMount"]));
    }
    for port in container["ports"].as_array().into_iter().flatten() {
        if port["hostPort"].as_i64().is_some_and(|port| port != 0) {
            found.push(format!("{name}: hostPort {}", port["hostPort"]));
        }
    }
}

/// What holds for a pod's and a container's context alike.
fn context(name: &str, context: &Value, found: &mut Vec<String>) {
    if context["runAsUser"] == 0 {
        found.push(format!("{name}: runAsUser is 0"));
    }
    let profile = &context["seccompProfile"]["type"];
    if profile.as_str().is_some_and(|profile| !SECCOMP.contains(&profile)) {
        found.push(format!("{name}: seccompProfile is {profile}"));
    }
    let options = &context["seLinuxOptions"];
    if !SELINUX_TYPES.contains(&options["type"].as_str().unwrap_or_default()) {
        found.push(format!("{name}: seLinuxOptions.type is {}", options["type"]));
    }
    for field in ["user", "role"] {
        if !options[field].as_str().unwrap_or_default().is_empty() {
            found.push(format!("{name}: seLinuxOptions.{field} is set"));
        }
    }
    if context["appArmorProfile"]["type"] == "Unconfined" {
        found.push(format!("{name}: appArmorProfile is Unconfined"));
    }
    if context["windowsOptions"]["hostProcess"] == true {
        found.push(format!("{name}: windowsOptions.hostProcess is true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restricted() -> Value {
        json!({
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
            "containers": [{
                "name": "c",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        })
    }

    #[test]
    fn a_pod_that_says_all_it_must_may_run_as_any_user_but_root() {
        assert_eq!(violations(&restricted()), [""; 0]);
        let mut pod = restricted();
        pod["securityContext"]["runAsUser"] = 1_000_810_000.into();
        assert_eq!(violations(&pod), [""; 0]);
        pod["securityContext"]["runAsUser"] = 0.into();
        assert_eq!(violations(&pod), ["the pod: runAsUser is 0"]);
    }

    #[test]
    fn a_pod_that_says_nothing_breaks_the_four_rules() {
        let found = violations(&json!({ "containers": [{ "name": "c" }] }));
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn each_liberty_is_found() {
        let liberties = [
            ("/hostNetwork", json!(true)),
            ("/volumes/0", json!({ "name": "v", "hostPath": { "path": "/" } })),
            ("/securityContext/seccompProfile/type", json!("Unconfined")),
            ("/containers/0/ports", json!([{ "hostPort": 80 }])),
            ("/containers/0/securityContext/privileged", json!(true)),
            ("/containers/0/securityContext/runAsNonRoot", json!(false)),
            ("/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"])),
            ("/containers/0/securityContext/procMount", json!("Unmasked")),
            ("/containers/0/securityContext/seLinuxOptions", json!({ "type": "spc_t" })),
        ];
        for (place, value) in liberties {
            let mut pod = restricted();
            let (parent, field) = place.rsplit_once('/').expect("it is a path");
            let parent = pod.pointer_mut(parent).expect("it is there");
            match field.parse::<usize>() {
                Ok(index) => parent[index] = value,
                Err(_) => parent[field] = value,
            }
            assert_eq!(violations(&pod).len(), 1, "{place}: {:?}", violations(&pod));
        }
    }

    #[test]
    fn init_containers_are_held_to_the_same() {
        let mut pod = restricted();
        pod["initContainers"] = json!([{ "name": "i" }]);
        assert!(!violations(&pod).is_empty());
    }
}
