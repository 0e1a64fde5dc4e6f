//! Rules of environments, one test each.

use serde_json::json;

use crate::rules::cases::{accepted_spec, changed, problems, refused, refused_spec};

const KIND: &str = "Environment";

#[test]
fn version_is_one_to_three() {
    refused_spec(KIND, json!({ "version": 4 }), "spec.version: Invalid value: \"4\": must be at most 3");
    refused_spec(KIND, json!({ "version": 0 }), "spec.version: Invalid value: \"0\": must be at least 1");
}

#[test]
fn version_never_changes() {
    let (old, new) = (changed(KIND, &json!({})), changed(KIND, &json!({ "spec": { "version": 2 } })));
    let expected = "spec.version: Invalid value: \"2\": may not change; create a new object";
    assert_eq!(problems(&new, Some(&old)), [expected]);
}

#[test]
fn runtime_image_is_required() {
    refused_spec(KIND, json!({ "runtime": { "image": null } }), "spec.runtime.image: Required value");
    let detail = "spec.runtime.image: Required value: name the image functions run in";
    refused_spec(KIND, json!({ "runtime": { "image": "" } }), detail);
}

#[test]
fn pool_size_and_grace_period_are_not_negative() {
    refused_spec(KIND, json!({ "poolsize": -1 }), "spec.poolsize: Invalid value: \"-1\": must be at least 0");
    let grace = json!({ "terminationGracePeriod": -1 });
    refused_spec(KIND, grace, "spec.terminationGracePeriod: Invalid value: \"-1\": must be at least 0");
}

#[test]
fn sharing_an_instance_is_single_or_infinite() {
    accepted_spec(KIND, json!({ "allowedFunctionsPerContainer": "infinite" }));
    refused_spec(
        KIND,
        json!({ "allowedFunctionsPerContainer": "two" }),
        "spec.allowedFunctionsPerContainer: Unsupported value: \"two\": supported values: \"single\", \"infinite\"",
    );
}

#[test]
fn pods_may_not_share_the_host_or_borrow_an_identity() {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let problem =
            format!("spec.runtime.podspec.{field}: Forbidden: may not be set: functions are kept apart from the host");
        refused_spec(KIND, json!({ "runtime": { "podspec": { field: true } } }), &problem);
        accepted_spec(KIND, json!({ "runtime": { "podspec": { field: false } } }));
    }
    for field in ["serviceAccountName", "serviceAccount"] {
        let problem =
            format!("spec.builder.podspec.{field}: Forbidden: may not be set: functions are kept apart from the host");
        refused_spec(KIND, json!({ "builder": { "podspec": { field: "admin" } } }), &problem);
    }
}

#[test]
fn pods_may_not_mount_the_host() {
    refused_spec(
        KIND,
        json!({ "runtime": { "podspec": { "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] } } }),
        "spec.runtime.podspec.volumes[0].hostPath: Forbidden: may not mount directories of the host",
    );
}

#[test]
fn containers_may_not_be_privileged() {
    for field in ["privileged", "allowPrivilegeEscalation"] {
        let problem = format!("spec.runtime.container.securityContext.{field}: Forbidden: may not be true");
        refused_spec(KIND, json!({ "runtime": { "container": { "securityContext": { field: true } } } }), &problem);
    }
}

#[test]
fn containers_may_add_only_net_bind_service() {
    let with = |name: &str| json!({ "securityContext": { "capabilities": { "add": [name] } } });
    accepted_spec(KIND, json!({ "runtime": { "container": with("NET_BIND_SERVICE") } }));
    refused_spec(
        KIND,
        json!({ "runtime": { "podspec": { "initContainers": [with("SYS_ADMIN")] } } }),
        "spec.runtime.podspec.initContainers[0].securityContext.capabilities.add[0]: Unsupported value: \"SYS_ADMIN\": \
         supported values: \"NET_BIND_SERVICE\"",
    );
}

#[test]
fn the_runtime_container_is_named_as_the_environment() {
    let pod = |name: &str| json!({ "runtime": { "podspec": { "containers": [{ "name": name, "image": "fission/node-env" }] } } });
    accepted_spec(KIND, pod("e"));
    refused_spec(
        KIND,
        pod("other"),
        "spec.runtime.podspec.containers[0].name: Invalid value: \"other\": the container that runs the environment's \
         image must be named \"e\"",
    );
}

#[test]
fn names_longer_than_a_label_are_refused_with_the_limit() {
    let problem = "metadata.name: Too long: must be at most 63 characters, is 64; names become labels";
    refused(KIND, json!({ "metadata": { "name": "a".repeat(64) } }), problem);
}

#[test]
fn names_are_dns_labels() {
    refused(
        KIND,
        json!({ "metadata": { "name": "Node_JS" } }),
        "metadata.name: Invalid value: \"Node_JS\": must be lower-case letters, digits and '-', beginning and ending \
         with a letter or digit",
    );
}
