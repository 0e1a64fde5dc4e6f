//! Instances come, change and go, and no request is lost by it.

use std::time::Duration;

use crate::world::{Cluster, PLATFORM, PODS, node};

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_pod_is_removed_and_the_next_request_starts_another() {
    let cluster = Cluster::shared("idle").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("here"), &["--idletimeout", "3"]);
    let path = format!("/{name}");
    cluster.answers(&path, "here").await;
    let first = cluster.serving(&name).await;
    cluster.eventually("the idle pod is gone", || cluster.pods(&name).is_empty()).await;
    cluster.answers(&path, "here").await;
    assert_ne!(cluster.pods(&name), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_under_load_drops_no_request() {
    let cluster = Cluster::shared("update").await;
    let env = cluster.environment("fission/node-env", 2);
    let name = cluster.function("fn", &env, "a.js", &node("one"), &["--requestsperpod", "10"]);
    let path = format!("/{name}");
    cluster.answers(&path, "one").await;
    let load = cluster.load(&path, 2);
    cluster.write("a.js", &node("two"));
    cluster.fission_ok(&["function", "update", "--name", &name, "--code", "a.js"]);
    cluster.answers(&path, "two").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    load.all_were_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_changes_rolls_its_pods_and_keeps_serving() {
    let cluster = Cluster::shared("envchange").await;
    let env = cluster.environment("fission/node-env", 1);
    let code = "module.exports = async () => ({ status: 200, body: process.env.COLOUR || 'none' });\n";
    let name = cluster.function("fn", &env, "a.js", code, &[]);
    let path = format!("/{name}");
    cluster.answers(&path, "none").await;
    let load = cluster.load(&path, 1);
    let patch = r#"{"spec":{"runtime":{"container":{"name":"x","env":[{"name":"COLOUR","value":"red"}]}}}}"#;
    cluster.kubectl_ok(&["patch", "environment", &env, "--type=merge", "-p", patch]);
    cluster.answers(&path, "red").await;
    load.all_were_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_get_a_pod_each_and_no_more() {
    let cluster = Cluster::shared("atonce").await;
    let env = cluster.environment("fission/node-env", 2);
    let code = "module.exports = async () => { await new Promise((r) => setTimeout(r, 3000)); return { status: 200, body: require('os').hostname() }; };\n";
    let name = cluster.function("fn", &env, "a.js", code, &["--concurrency", "3"]);
    let path = format!("/{name}");
    cluster
        .eventually("the route", || {
            cluster.kubectl_ok(&["get", "httptrigger", &name, "-o", "yaml"]).contains("RouteAdmitted")
        })
        .await;
    let requests = (0..6).map(|_| cluster.get(&path));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let hosts: std::collections::HashSet<_> = answers.into_iter().map(|(_, host)| host).collect();
    assert!(hosts.len() <= 3, "{hosts:?}");
    assert!(cluster.pods(&name).len() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_everything_leaves_no_pod_and_no_service() {
    let cluster = Cluster::shared("gone").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("here"), &[]);
    cluster.answers(&format!("/{name}"), "here").await;
    let uid = cluster.kubectl_ok(&["get", "environment", &env, "-o", "jsonpath={.metadata.uid}"]);
    cluster.fission_ok(&["route", "delete", "--function", &name]);
    cluster.fission_ok(&["function", "delete", "--name", &name]);
    cluster.fission_ok(&["env", "delete", "--name", &env]);
    let of_environment = format!("environmentUid={uid}");
    let nothing_left = || {
        let pods = cluster.kubectl_ok(&["get", "pods,deployments", "-n", PODS, "-l", &of_environment, "-o", "name"]);
        let services = format!("functionName={name}");
        let services = cluster.kubectl_ok(&["get", "services", "-n", PODS, "-l", &services, "-o", "name"]);
        pods.trim().is_empty() && services.trim().is_empty()
    };
    cluster.eventually("nothing is left", nothing_left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_are_replaced_under_load_without_a_failed_request() {
    let cluster = Cluster::alone("rollrouter").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("here"), &["--requestsperpod", "50"]);
    let path = format!("/{name}");
    cluster.answers(&path, "here").await;
    let load = cluster.load(&path, 4);
    cluster.kubectl_ok(&["rollout", "restart", "deployment/router", "-n", PLATFORM]);
    cluster.kubectl_ok(&["rollout", "status", "deployment/router", "-n", PLATFORM, "--timeout=180s"]);
    tokio::time::sleep(Duration::from_secs(7)).await;
    load.all_were_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_executor_adopts_what_serves_and_nobody_notices() {
    let cluster = Cluster::alone("adopt").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("here"), &["--requestsperpod", "50"]);
    let path = format!("/{name}");
    cluster.answers(&path, "here").await;
    let before = cluster.serving(&name).await;
    cluster
        .eventually("the pod is shown to routers", || {
            let selector = format!("functionName={name},fission.io/served=true");
            !cluster.kubectl_ok(&["get", "pods", "-n", PODS, "-l", &selector, "-o", "name"]).trim().is_empty()
        })
        .await;
    let load = cluster.load(&path, 2);
    cluster.kubectl_ok(&["delete", "pods", "-n", PLATFORM, "-l", "svc=executor", "--grace-period=0", "--force"]);
    cluster.kubectl_ok(&["rollout", "status", "deployment/executor", "-n", PLATFORM, "--timeout=120s"]);
    // It makes pods again, and the old one still serves.
    let other = cluster.function("other", &env, "b.js", &node("other"), &[]);
    cluster.answers(&format!("/{other}"), "other").await;
    load.all_were_answered().await;
    assert_eq!(cluster.pods(&name), before);
}
