//! What pods of functions are made of.

use serde_json::json;

use super::*;
use crate::options::InternalSecret;

pub(crate) fn options() -> Options {
    Options {
        install_namespace: "fission".into(),
        function_namespace: None,
        builder_namespace: None,
        fetcher_image: "fission/fission:dev".into(),
        fetcher_pull_policy: "IfNotPresent".into(),
        runtime_pull_policy: "IfNotPresent".into(),
        fetcher_resources: json!({ "requests": { "cpu": "10m", "memory": "16Mi" } }),
        insecure_registries: Vec::new(),
        storage_url: "http://storagesvc.fission".into(),
        runtime_pod_patch: None,
        builder_pod_patch: None,
        cluster_domain: "cluster.local".into(),
        has_sleep_action: true,
        secret: InternalSecret { current: b"test-master".to_vec(), old: None },
    }
}

fn environment(spec: Value) -> Environment {
    serde_json::from_value(json!({
        "apiVersion": "fission.io/v1", "kind": "Environment",
        "metadata": { "name": "nodejs", "namespace": "default", "uid": "e-1" }, "spec": spec,
    }))
    .unwrap()
}

fn pod(spec: Value) -> Result<Value, String> {
    environment_pod(&environment(spec), None, &AtStart::Wait, &options())
}

fn plain() -> Value {
    pod(json!({ "version": 3, "runtime": { "image": "fission/node-env" }, "poolsize": 3 })).unwrap()
}

#[test]
fn webassembly_is_no_image_and_is_told_to_be_for_one_machine() {
    let said = pod(json!({ "version": 3, "runtime": { "image": "fission/wasm-env" } })).unwrap_err();
    assert!(said.contains("fission/wasm-env") && said.contains("one machine"), "{said}");
}

#[test]
fn the_token_is_in_the_fetcher_and_nowhere_else() {
    let pod = plain();
    assert_eq!(pod["automountServiceAccountToken"], false);
    let with_token: Vec<_> = pod["containers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|container| container["volumeMounts"].to_string().contains("fetcher-token"))
        .map(|container| container["name"].as_str().unwrap())
        .collect();
    assert_eq!(with_token, ["fetcher"]);
}

#[test]
fn the_fetcher_is_told_which_registries_are_asked_over_plain_http() {
    let options = Options { insecure_registries: vec!["a:5000".into(), "b".into()], ..options() };
    let variables = fetcher(&AtStart::Wait, &options, 0)["env"].to_string();
    assert!(variables.contains(r#""name":"FETCHER_ALLOW_INSECURE_REGISTRIES","value":"a:5000,b""#), "{variables}");
    assert!(!plain().to_string().contains("INSECURE"), "and is not told of none");
}

#[test]
fn code_of_a_user_holds_no_key() {
    let pod = plain();
    assert!(!pod["containers"][0]["env"].to_string().contains("KEY"));
    assert!(pod["containers"][1]["env"].to_string().contains("FISSION_FETCHER_KEY"));
}

#[test]
fn what_a_user_says_of_the_pod_is_merged_and_the_account_stays_ours() {
    let pod = pod(json!({
        "version": 3,
        "runtime": {
            "image": "fission/node-env",
            "container": { "name": "other", "env": [{ "name": "A", "value": "1" }] },
            "podspec": {
                "serviceAccountName": "admin", "automountServiceAccountToken": true,
                "nodeSelector": { "disk": "ssd" },
                "containers": [{ "name": "nodejs", "image": "fission/node-env", "resources": {} }, { "name": "side", "image": "i" }],
            },
        },
        "terminationGracePeriod": 4,
    }))
    .unwrap();
    let names: Vec<_> = pod["containers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["nodejs", "side", "fetcher"]);
    assert_eq!(
        (&pod["serviceAccountName"], &pod["automountServiceAccountToken"]),
        (&json!("fission-fetcher"), &json!(false))
    );
    assert_eq!(pod["nodeSelector"]["disk"], "ssd");
    assert!(pod["containers"][0]["env"].to_string().contains(r#""A""#));
    assert_eq!(pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 2, "half of the grace period");
}

#[test]
fn an_environment_that_asks_for_the_node_is_refused_by_the_field() {
    let refused = pod(json!({
        "version": 3, "runtime": { "image": "i", "podspec": { "hostPID": true, "containers": [] } },
    }))
    .unwrap_err();
    assert!(refused.contains("podspec.hostPID"), "{refused}");
    let wrong = pod(json!({ "version": 3, "runtime": { "image": "i", "podspec": { "tolerations": 5 } } })).unwrap_err();
    assert!(wrong.contains("pod spec"), "{wrong}");
}

#[test]
fn a_pools_size_does_not_change_what_instances_are_made_from() {
    let of = |spec| runtime_hash(&environment(spec), &options());
    let base = json!({ "version": 3, "runtime": { "image": "i" }, "poolsize": 3 });
    let larger = json!({ "version": 3, "runtime": { "image": "i" }, "poolsize": 9 });
    let other = json!({ "version": 3, "runtime": { "image": "j" }, "poolsize": 3 });
    assert_eq!(of(base.clone()), of(larger));
    assert_ne!(of(base), of(other));
}

#[test]
fn a_function_of_its_own_is_given_its_resources_over_those_of_the_environment() {
    let environment = environment(json!({
        "version": 3, "runtime": { "image": "i" },
        "resources": { "requests": { "cpu": "1", "memory": "1Gi" } },
    }));
    let mut function = Function::default();
    function.spec.resources = serde_json::from_value(json!({ "requests": { "cpu": "2" } })).unwrap();
    let pod = environment_pod(&environment, Some(&function), &AtStart::Load("{}".into()), &options()).unwrap();
    assert_eq!(pod["containers"][0]["resources"]["requests"], json!({ "cpu": "2", "memory": "1Gi" }));
    assert!(pod["containers"][1]["readinessProbe"].is_object(), "it is ready when it has loaded");
    let generic = plain();
    let probe = |container: &Value| container["startupProbe"]["httpGet"]["path"].clone();
    assert_eq!(probe(&generic["containers"][1]), "/readiness-healthz", "it is ready when its environment listens");
    assert_eq!(probe(&fetcher(&AtStart::Build, &options(), 0)), "/healthz", "a builder has no environment");
}
