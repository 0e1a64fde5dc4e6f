//! What functions that Kubernetes scales are made of.

use serde_json::json;

use super::*;
use crate::template::tests::options;

fn function(spec: Value) -> Function {
    serde_json::from_value(json!({
        "apiVersion": "fission.io/v1", "kind": "Function",
        "metadata": { "name": "hello", "namespace": "default", "uid": "0a1b2c3d-0000-4000-8000-123456789abc", "generation": 3 },
        "spec": spec,
    }))
    .unwrap()
}

fn strategy(executor: &str, extra: Value) -> Value {
    let mut strategy = json!({ "ExecutorType": executor, "MinScale": 0, "MaxScale": 4 });
    merge_fields(&mut strategy, extra);
    json!({ "ExecutionStrategy": strategy, "StrategyType": "execution" })
}

fn merge_fields(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

fn made(function: &Function) -> Result<Objects, String> {
    let environment: Environment = serde_json::from_value(json!({
        "metadata": { "name": "nodejs", "namespace": "default", "uid": "e-1" },
        "apiVersion": "fission.io/v1", "kind": "Environment",
        "spec": { "version": 3, "runtime": { "image": "fission/node-env" } },
    }))
    .unwrap();
    let mut package = Package::default();
    package.metadata.name = Some("hello-pkg".into());
    package.metadata.namespace = Some("default".into());
    objects(
        function,
        &Parts { environment: Some(&environment), package: Some(&package), given: "1".into() },
        &options(),
    )
}

#[test]
fn a_newdeploy_pod_loads_its_function_at_its_start() {
    let objects = made(&function(json!({
        "environment": { "name": "nodejs", "namespace": "default" },
        "package": { "packageref": { "name": "hello-pkg", "namespace": "default" }, "functionName": "a.b" },
        "InvokeStrategy": strategy("newdeploy", json!({})),
        "env": [{ "name": "A", "value": "1" }],
    })))
    .unwrap();
    let fetcher = &objects.deployment["spec"]["template"]["spec"]["containers"][1];
    let asked: Value = serde_json::from_str(fetcher["args"][2].as_str().unwrap()).unwrap();
    assert_eq!(asked["LoadReq"]["functionName"], "a.b");
    assert_eq!(asked["FetchReq"]["package"]["name"], "hello-pkg");
    assert!(asked["FetchReq"].get("archive").is_none(), "a pod's specification holds no code");
    assert!(objects.deployment["spec"].get("replicas").is_none(), "they are the autoscaler's");
    let main = &objects.deployment["spec"]["template"]["spec"]["containers"][0];
    assert!(main["env"].to_string().contains(r#""A""#));
    assert_eq!(objects.service["spec"]["ports"][0], json!({ "name": "http-env", "port": 80, "targetPort": 8888 }));
    assert_eq!(objects.service["metadata"]["labels"][labels::FUNCTION_GENERATION], "3");
}

#[test]
fn the_autoscaler_looks_at_the_functions_container() {
    let with = |extra| {
        let function = function(json!({
            "environment": { "name": "nodejs", "namespace": "default" },
            "package": { "packageref": { "name": "hello-pkg", "namespace": "default" } },
            "InvokeStrategy": strategy("newdeploy", extra),
        }));
        made(&function).unwrap().autoscaler["spec"].clone()
    };
    let plain = with(json!({}));
    assert_eq!((&plain["minReplicas"], &plain["maxReplicas"]), (&json!(1), &json!(4)));
    assert_eq!(plain["metrics"][0]["containerResource"]["target"]["averageUtilization"], 80);
    assert_eq!(plain["metrics"][0]["containerResource"]["container"], "nodejs");
    let own = with(json!({ "TargetCPUPercent": 50, "hpaMetrics": [
        { "type": "Resource", "resource": { "name": "memory", "target": { "type": "Utilization", "averageUtilization": 60 } } },
        { "type": "External", "external": { "metric": { "name": "queue" } } },
    ] }));
    let kinds: Vec<_> = own["metrics"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ContainerResource", "ContainerResource", "External"]);
}

#[test]
fn a_container_keeps_its_port_and_is_named_as_its_function() {
    let objects = made(&function(json!({
        "environment": {}, "package": { "packageref": {} },
        "InvokeStrategy": strategy("container", json!({})),
        "podspec": {
            "containers": [{ "name": "web", "image": "nginx", "ports": [{ "containerPort": 8080 }] }],
            "imagePullSecrets": [{ "name": "" }],
        },
        "secrets": [{ "name": "a", "namespace": "default" }, { "name": "b", "namespace": "default", "mountPath": "x/y" }],
        "resources": { "requests": { "cpu": "100m" } },
    })))
    .unwrap();
    let pod = &objects.deployment["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    let main = &pod["containers"][0];
    assert_eq!((&main["name"], &main["image"]), (&json!("hello"), &json!("nginx")));
    assert_eq!(main["envFrom"], json!([{ "secretRef": { "name": "a" } }]));
    assert_eq!(main["resources"]["requests"]["cpu"], "100m", "without a request no autoscaler knows what 80% is");
    assert_eq!(main["volumeMounts"][0]["mountPath"], "/secrets/x/y");
    assert_eq!(objects.service["spec"]["ports"][0]["targetPort"], 8080);
    assert!(objects.name.starts_with("container-hello-default-"));
    assert_eq!(pod["imagePullSecrets"], json!([]));
}

#[test]
fn a_container_takes_requests_when_its_port_is_open_unless_it_says_itself_when() {
    let with = |probe: Value| {
        let mut container = json!({ "name": "web", "image": "nginx", "ports": [{ "containerPort": 8080 }] });
        merge_fields(&mut container, probe);
        let objects = made(&function(json!({
            "environment": {}, "package": { "packageref": {} },
            "InvokeStrategy": strategy("container", json!({})), "podspec": { "containers": [container] },
        })));
        objects.unwrap().deployment["spec"]["template"]["spec"]["containers"][0].clone()
    };
    assert_eq!(with(json!({}))["startupProbe"]["tcpSocket"]["port"], 8080);
    let own = with(json!({ "readinessProbe": { "httpGet": { "path": "/well", "port": 8080 } } }));
    assert_eq!((own["startupProbe"].is_null(), &own["readinessProbe"]["httpGet"]["path"]), (true, &json!("/well")));
}

#[test]
fn a_container_with_no_port_or_two_is_refused_with_what_it_has() {
    let refused = made(&function(json!({
        "environment": {}, "package": { "packageref": {} },
        "InvokeStrategy": strategy("container", json!({})),
        "podspec": { "containers": [{ "name": "web", "image": "nginx" }] },
    })))
    .err()
    .unwrap();
    assert!(refused.contains("exactly one port, not 0"), "{refused}");
}

#[test]
fn a_function_that_asks_to_be_kept_from_the_network_is_refused_rather_than_run_with_it() {
    let mut function = function(json!({ "InvokeStrategy": strategy("newdeploy", json!({})) }));
    function.metadata.annotations = Some([(labels::NETWORK.to_owned(), "none".to_owned())].into());
    let why = made(&function).err().expect("it is refused");
    assert!(why.contains("fission.io/network: none") && why.contains("NetworkPolicy"), "{why}");
}
