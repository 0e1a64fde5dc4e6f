//! Functions that Kubernetes scales.

use crate::world::{Cluster, PODS, node, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_newdeploy_function_comes_from_zero_and_goes_back() {
    let cluster = Cluster::shared("nd").await;
    let env = cluster.environment("fission/node-env", 0);
    let name = cluster.function(
        "fn",
        &env,
        "a.js",
        &node("scaled"),
        &["--executortype", "newdeploy", "--minscale", "0", "--maxscale", "2", "--idletimeout", "10"],
    );
    cluster.answers(&format!("/{name}"), "scaled").await;
    let selector = format!("functionName={name}");
    let scalers = cluster.get_json(&["hpa", "-n", PODS, "-l", &selector]);
    assert_eq!(scalers["items"][0]["spec"]["maxReplicas"], 2);
    let none = || cluster.get_json(&["deployments", "-n", PODS, "-l", &selector])["items"][0]["spec"]["replicas"] == 0;
    cluster.eventually("no pods are left", none).await;
    cluster.answers(&format!("/{name}"), "scaled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_a_newdeploy_pod_cannot_load_is_told_to_who_calls() {
    let cluster = Cluster::shared("ndbad").await;
    let env = cluster.environment("fission/node-env", 0);
    let name = cluster.function(
        "fn",
        &env,
        "a.js",
        "module.exports = async () => { retur 1 };\n",
        &["--executortype", "newdeploy", "--minscale", "0", "--maxscale", "1"],
    );
    let (_, body) =
        cluster.until(&format!("/{name}"), |(status, body)| *status == 500 && body.contains("SyntaxError")).await;
    assert!(body.contains(&name), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_function_runs_an_image_of_its_own() {
    let cluster = Cluster::shared("ct").await;
    let name = cluster.name("fn");
    // Any HTTP server will do; the environment's own answers before it has a function.
    let yaml = format!(
        "
apiVersion: fission.io/v1
kind: Function
metadata: {{ name: {name}, namespace: default }}
spec:
  environment: {{ name: '', namespace: '' }}
  package: {{ packageref: {{ name: '', namespace: '' }} }}
  resources: {{}}
  InvokeStrategy:
    StrategyType: execution
    ExecutionStrategy: {{ ExecutorType: container, MinScale: 1, MaxScale: 1, TargetCPUPercent: 0, SpecializationTimeout: 120 }}
  podspec:
    containers: [{{ name: web, image: fission/node-env, ports: [{{ containerPort: 8888 }}] }}]
"
    );
    text(&cluster.apply(&yaml), "apply");
    cluster.route(&name);
    let (_, body) =
        cluster.until(&format!("/{name}"), |(status, body)| *status == 500 && !body.contains("no pod")).await;
    assert!(body.contains("Generic container"), "{body}");
    let selector = format!("functionName={name}");
    let pods = cluster.get_json(&["pods", "-n", PODS, "-l", &selector]);
    assert_eq!(pods["items"][0]["spec"]["containers"].as_array().unwrap().len(), 1, "no fetcher is in it");
    text(&cluster.fission(&["function", "delete", "--name", &name]), "delete");
}
