//! Parts of the platform and of the cluster fail. Each test has the cluster alone.

use std::time::Duration;

use crate::world::{Cluster, PLATFORM, PODS, node, text};

/// A warm function, and its path.
pub(crate) async fn warm(cluster: &Cluster) -> (String, String) {
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("here"), &["--requestsperpod", "50"]);
    let path = format!("/{name}");
    cluster.answers(&path, "here").await;
    cluster.serving(&name).await;
    (name, path)
}

/// Waits for the API server; then a new function is stored, loaded and called.
pub(crate) async fn everything_works_again(cluster: &Cluster) {
    let api_is_back = || cluster.kubectl(&["get", "--raw", "/readyz"]).status.success();
    cluster.eventually("the API server", api_is_back).await;
    let name = cluster.function("after", &cluster.name("env"), "b.js", &node("after"), &[]);
    cluster.answers(&format!("/{name}"), "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_functions_answer_while_the_executor_is_away() {
    let cluster = Cluster::alone("noexec").await;
    let (_, path) = warm(&cluster).await;
    cluster.kubectl_ok(&["scale", "deployment/executor", "-n", PLATFORM, "--replicas=0"]);
    cluster.kubectl_ok(&["wait", "--for=delete", "pod", "-l", "svc=executor", "-n", PLATFORM, "--timeout=90s"]);
    let load = cluster.load(&path, 2);
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.all_were_answered().await;
    // A cold function waits, and is answered when the executor is back.
    let waiting = {
        let cluster = cluster.clone();
        let name = cluster.function("cold", &cluster.name("env"), "b.js", &node("cold"), &["--fntimeout", "110"]);
        tokio::spawn(async move { cluster.get(&format!("/{name}")).await })
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.kubectl_ok(&["scale", "deployment/executor", "-n", PLATFORM, "--replicas=1"]);
    let (status, body) = waiting.await.unwrap();
    assert!(status == 200 || status == 404, "{status} {body}");
    cluster.answers(&format!("/{}", cluster.name("cold")), "cold").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_functions_answer_while_the_api_server_is_away() {
    let cluster = Cluster::alone("noapi").await;
    let (_, path) = warm(&cluster).await;
    let Some(stopped) = cluster.fault(&["stop-apiserver"]) else { return skipped("stop-apiserver") };
    text(&stopped, "stop-apiserver");
    let load = cluster.load(&path, 2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    text(&cluster.fault(&["start-apiserver"]).unwrap(), "start-apiserver");
    load.all_were_answered().await;
    everything_works_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_restarts_and_nothing_is_lost() {
    let cluster = Cluster::alone("etcd").await;
    let (_, path) = warm(&cluster).await;
    let load = cluster.load(&path, 2);
    let Some(restarted) = cluster.fault(&["restart-etcd"]) else { return skipped("restart-etcd") };
    text(&restarted, "restart-etcd");
    load.all_were_answered().await;
    everything_works_again(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_pod_killed_on_its_node_is_replaced_at_the_next_request() {
    let cluster = Cluster::alone("killpod").await;
    let (name, path) = warm(&cluster).await;
    let uid =
        cluster.kubectl_ok(&["get", "pod", &cluster.pods(&name)[0], "-n", PODS, "-o", "jsonpath={.metadata.uid}"]);
    let Some(killed) = cluster.fault(&["kill-pod", &uid]) else { return skipped("kill-pod") };
    text(&killed, "kill-pod");
    cluster.answers(&path, "here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_pod_is_replaced_at_the_next_request() {
    let cluster = Cluster::alone("evict").await;
    let (name, path) = warm(&cluster).await;
    let pod = cluster.pods(&name)[0].clone();
    let eviction =
        format!(r#"{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{pod}","namespace":"{PODS}"}}}}"#);
    cluster.write("eviction.json", &eviction);
    let load = cluster.load(&path, 1);
    cluster.kubectl_ok(&[
        "create",
        "--raw",
        &format!("/api/v1/namespaces/{PODS}/pods/{pod}/eviction"),
        "-f",
        "eviction.json",
    ]);
    tokio::time::sleep(Duration::from_secs(8)).await;
    load.all_were_answered().await;
    assert!(!cluster.pods(&name).contains(&pod));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_executors_one_leads_and_the_other_takes_over() {
    let cluster = Cluster::alone("two").await;
    let (name, path) = warm(&cluster).await;
    cluster.kubectl_ok(&["scale", "deployment/executor", "-n", PLATFORM, "--replicas=2"]);
    let both =
        || cluster.get_json(&["pods", "-n", PLATFORM, "-l", "svc=executor"])["items"].as_array().unwrap().len() == 2;
    cluster.eventually("two executors", both).await;
    let holder = cluster.kubectl_ok(&[
        "get",
        "lease",
        "fission-executor",
        "-n",
        PLATFORM,
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ]);
    let leader = holder.split('_').next().unwrap().to_owned();
    let before = cluster.pods(&name);
    let load = cluster.load(&path, 2);
    cluster.kubectl_ok(&["delete", "pod", &leader, "-n", PLATFORM, "--grace-period=0", "--force"]);
    let another = || {
        let now = cluster.kubectl_ok(&[
            "get",
            "lease",
            "fission-executor",
            "-n",
            PLATFORM,
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ]);
        !now.is_empty() && now != holder
    };
    cluster.eventually("another leader", another).await;
    let cold = cluster.function("cold", &cluster.name("env"), "b.js", &node("cold"), &[]);
    cluster.answers(&format!("/{cold}"), "cold").await;
    load.all_were_answered().await;
    assert_eq!(cluster.pods(&name), before, "the new leader took over what served");
    cluster.kubectl_ok(&["scale", "deployment/executor", "-n", PLATFORM, "--replicas=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_restarts_and_functions_go_on() {
    let cluster = Cluster::alone("kubelet").await;
    let (name, path) = warm(&cluster).await;
    let before = cluster.pods(&name);
    let load = cluster.load(&path, 1);
    let Some(restarted) = cluster.fault(&["restart-kubelet"]) else { return skipped("restart-kubelet") };
    text(&restarted, "restart-kubelet");
    tokio::time::sleep(Duration::from_secs(5)).await;
    load.all_were_answered().await;
    assert_eq!(cluster.pods(&name), before);
}

/// A fault that only the tests' own cluster can have.
pub(crate) fn skipped(fault: &str) {
    crate::world::skipped(&format!("{fault}, which needs the tests' own cluster"));
}
