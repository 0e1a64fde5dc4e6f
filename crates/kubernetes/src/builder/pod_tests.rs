//! Builder pods: what is in them, and what no one can put into them.

use std::time::Duration;

use super::*;
use crate::template::tests::options;

pub(crate) fn settings() -> Settings {
    Settings { options: options(), pull_policy: "IfNotPresent".into(), ready_timeout: Duration::from_secs(5) }
}

pub(crate) fn environment(builder: Value) -> Environment {
    let environment = json!({ "apiVersion": "fission.io/v1", "kind": "Environment",
        "metadata": { "name": "node", "namespace": "team", "uid": "0a1b2c3d", "resourceVersion": "7", "generation": 2 },
        "spec": { "version": 3, "runtime": { "image": "node" }, "builder": builder } });
    serde_json::from_value(environment).unwrap()
}

fn containers(deployment: &Value) -> &Vec<Value> {
    deployment.pointer("/spec/template/spec/containers").unwrap().as_array().unwrap()
}

fn hash_of(environment: &Environment, settings: &Settings) -> String {
    deployment(environment, settings).unwrap()["metadata"]["annotations"][SPEC_HASH].as_str().unwrap().to_owned()
}

#[test]
fn a_builder_has_the_image_and_a_fetcher_and_only_that_has_a_token() {
    let deployment = deployment(&environment(json!({ "image": "node-builder" })), &settings()).unwrap();
    let all = containers(&deployment);
    assert_eq!(
        (&all[0]["name"], &all[0]["image"], &all[0]["args"]),
        (&json!("builder"), &json!("node-builder"), &json!(["/packages"]))
    );
    assert_eq!((all.len(), &all[1]["name"], &all[1]["args"]), (2, &json!("fetcher"), &json!(["fetcher"])));
    assert!(
        !all[0]["volumeMounts"].to_string().contains("token") && all[1]["volumeMounts"].to_string().contains("token")
    );
    let keys = |container: &Value| container["env"].to_string();
    assert!(keys(&all[0]).contains("builderKey") && !keys(&all[0]).contains("storageKey"));
    assert!(!keys(&all[1]).contains("builderKey") && keys(&all[1]).contains("storageKey"));
    assert_eq!(deployment["metadata"]["labels"]["owner"], "buildermgr");
    assert_eq!(deployment["metadata"]["labels"]["envResourceVersion"], "2");
    let text = deployment.to_string();
    assert!(!["runAsUser", "runAsGroup", "fsGroup", "hostPath"].iter().any(|word| text.contains(word)), "{text}");
    for container in all {
        assert_eq!(container["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    }
}

#[test]
fn what_the_environment_says_is_merged_and_rights_are_not() {
    let builder = json!({ "image": "b",
        "container": { "env": [{ "name": "A", "value": "1" }], "resources": { "limits": { "memory": "1Gi" } } },
        "podspec": { "nodeSelector": { "disk": "fast" }, "serviceAccountName": "admin", "automountServiceAccountToken": true } });
    let made = deployment(&environment(builder), &settings()).unwrap();
    let pod = &made["spec"]["template"]["spec"];
    assert!(containers(&made)[0]["env"].as_array().unwrap().contains(&json!({ "name": "A", "value": "1" })));
    assert_eq!(containers(&made)[0]["resources"]["limits"]["memory"], "1Gi");
    assert_eq!((&pod["nodeSelector"]["disk"], &pod["serviceAccountName"]), (&json!("fast"), &json!("fission-builder")));
    assert_eq!(pod["automountServiceAccountToken"], false);
    for (bad, word) in [
        (json!({ "image": "b", "podspec": { "hostNetwork": true } }), "hostNetwork"),
        (json!({ "image": "b", "podspec": { "containers": [{ "name": "fetcher" }] } }), "fetcher"),
        (json!({ "image": "b", "container": { "securityContext": { "privileged": true } } }), "privileged"),
    ] {
        let refused = deployment(&environment(bad), &settings()).unwrap_err();
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn only_what_the_pod_is_made_of_makes_another_pod() {
    let (settings, one) = (settings(), environment(json!({ "image": "b" })));
    let mut touched = one.clone();
    touched.metadata.resource_version = Some("8".into());
    touched.metadata.generation = Some(3);
    touched.spec.poolsize = 9;
    assert_eq!(hash_of(&one, &settings), hash_of(&touched, &settings));
    assert_ne!(hash_of(&one, &settings), hash_of(&environment(json!({ "image": "c" })), &settings));
    let mut rotated = settings.clone();
    rotated.options.secret.current = b"another".to_vec();
    assert_ne!(hash_of(&one, &settings), hash_of(&one, &rotated), "its keys are variables, read at the start");
}
