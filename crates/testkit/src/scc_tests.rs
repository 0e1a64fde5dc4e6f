//! The golden vectors: verdicts of OpenShift's own admission (openshift/kubernetes v1.36.2, as MicroShift vendors it),
//! for pods made by the ReplicaSet controller in a project with the range 1000810000/10000.

use super::*;

fn admitted(spec: &Value) -> (&'static str, Value) {
    match admit(spec, &Project::measured()) {
        Verdict::Admitted { by, spec } => (by, spec),
        Verdict::Denied(reasons) => panic!("denied: {reasons:?}"),
    }
}

fn denied(spec: &Value) -> Vec<String> {
    match admit(spec, &Project::measured()) {
        Verdict::Admitted { by, .. } => panic!("admitted by {by}"),
        Verdict::Denied(reasons) => reasons,
    }
}

fn has(reasons: &[String], wanted: &str) {
    assert!(reasons.iter().any(|reason| reason == wanted), "{wanted} is not in {reasons:#?}");
}

/// A pod with these contexts.
fn pod(pod: Value, container: Value) -> Value {
    json!({ "securityContext": pod, "containers": [{ "name": "c", "image": "i", "securityContext": container }] })
}

/// The original's pods since its 1.18.
fn fixed_numbers() -> Value {
    pod(json!({ "runAsNonRoot": true, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001 }), json!({}))
}

#[test]
fn a_pod_that_says_nothing_gets_everything_from_the_project() {
    let (by, spec) = admitted(&json!({ "containers": [{ "name": "c", "image": "i" }] }));
    assert_eq!(by, "restricted-v2");
    assert_eq!(
        spec["securityContext"],
        json!({
            "fsGroup": 1_000_810_000, "seLinuxOptions": { "level": "s0:c28,c17" },
            "seccompProfile": { "type": "RuntimeDefault" },
        })
    );
    assert_eq!(
        spec["containers"][0]["securityContext"],
        json!({
            "runAsUser": 1_000_810_000, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
        })
    );
}

#[test]
fn a_restricted_pod_without_numbers_gets_only_a_user_a_group_and_a_level() {
    let given = pod(
        json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }),
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        }),
    );
    let (by, spec) = admitted(&given);
    assert_eq!(by, "restricted-v2");
    let mut expected = given;
    expected["securityContext"]["fsGroup"] = 1_000_810_000.into();
    expected["securityContext"]["seLinuxOptions"] = json!({ "level": "s0:c28,c17" });
    expected["containers"][0]["securityContext"]["runAsUser"] = 1_000_810_000.into();
    assert_eq!(spec, expected);
}

#[test]
fn the_originals_numbers_are_denied_by_both() {
    let reasons = denied(&json!({
        "securityContext": { "fsGroup": 10001 },
        "containers": [{ "name": "c", "securityContext": { "runAsNonRoot": true, "runAsUser": 10001 } }],
    }));
    has(&reasons, "restricted-v2: .spec.securityContext.fsGroup: [10001]: 10001 is not an allowed group");
    has(&reasons, "restricted-v2: .containers[0].runAsUser: 10001: must be in the ranges: [1000810000, 1000819999]");
    has(&reasons, "restricted-v3: .spec.hostUsers: null: must be set to false");
    denied(&fixed_numbers());
}

#[test]
fn the_originals_numbers_are_kept_in_a_user_namespace() {
    let mut given = fixed_numbers();
    given["hostUsers"] = false.into();
    let (by, spec) = admitted(&given);
    assert_eq!(by, "restricted-v3");
    let context = &spec["securityContext"];
    assert_eq!(
        (&context["runAsUser"], &context["runAsGroup"], &context["fsGroup"]),
        (&json!(10001), &json!(10001), &json!(10001))
    );
    assert_eq!(context["supplementalGroups"], json!([1000]));
}

#[test]
fn a_user_namespace_alone_changes_nothing() {
    let (by, spec) = admitted(&json!({ "hostUsers": false, "containers": [{ "name": "c" }] }));
    assert_eq!(by, "restricted-v2");
    assert_eq!(spec["containers"][0]["securityContext"]["runAsUser"], 1_000_810_000);
}

#[test]
fn a_group_of_the_volumes_is_denied_alone_and_a_group_of_the_process_is_not_looked_at() {
    denied(&pod(json!({ "fsGroup": 10001 }), json!({})));
    let (by, spec) = admitted(&pod(json!({ "runAsNonRoot": true, "runAsGroup": 10001 }), json!({})));
    assert_eq!((by, &spec["securityContext"]["runAsGroup"]), ("restricted-v2", &json!(10001)));
}

#[test]
fn root_is_denied() {
    let reasons = denied(&pod(json!({}), json!({ "runAsUser": 0 })));
    has(&reasons, "restricted-v2: .containers[0].runAsUser: 0: must be in the ranges: [1000810000, 1000819999]");
    denied(&pod(json!({ "runAsUser": 0 }), json!({})));
}

#[test]
fn folders_ports_and_namespaces_of_the_host_are_denied() {
    let reasons = denied(&json!({ "volumes": [{ "name": "v", "hostPath": { "path": "/" } }], "containers": [] }));
    has(&reasons, "restricted-v2: .spec.volumes[0]: hostPath volumes are not allowed to be used");
    let reasons = denied(&json!({ "containers": [{ "name": "c", "ports": [{ "hostPort": 8888 }] }] }));
    has(&reasons, "restricted-v2: .containers[0].hostPort: 8888: Host ports are not allowed to be used");
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        denied(&json!({ field: true, "containers": [] }));
    }
}

#[test]
fn binding_low_ports_may_be_added_and_no_other_capability() {
    let (by, spec) = admitted(&pod(json!({}), json!({ "capabilities": { "add": ["NET_BIND_SERVICE"] } })));
    assert_eq!(by, "restricted-v2");
    let capabilities = &spec["containers"][0]["securityContext"]["capabilities"];
    assert_eq!(capabilities, &json!({ "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] }));
    denied(&pod(json!({}), json!({ "capabilities": { "add": ["SYS_ADMIN"] } })));
}

#[test]
fn a_volume_that_is_an_image_is_allowed() {
    let volume = json!({ "name": "v", "image": { "reference": "functions/hello:1" } });
    assert_eq!(admitted(&json!({ "volumes": [volume], "containers": [{ "name": "c" }] })).0, "restricted-v2");
}

#[test]
fn no_seccomp_profile_but_the_runtimes_is_allowed() {
    let reasons = denied(&pod(json!({ "seccompProfile": { "type": "Unconfined" } }), json!({})));
    has(&reasons, "restricted-v2: .spec.securityContext.seccomp: unconfined is not an allowed seccomp profile");
}

#[test]
fn init_containers_are_held_to_the_same() {
    denied(
        &json!({ "initContainers": [{ "name": "c", "securityContext": { "privileged": true } }], "containers": [] }),
    );
    let (_, spec) = admitted(&json!({ "initContainers": [{ "name": "c" }], "containers": [] }));
    assert_eq!(spec["initContainers"][0]["securityContext"]["runAsUser"], 1_000_810_000);
}
