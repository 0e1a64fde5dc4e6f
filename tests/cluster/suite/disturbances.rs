//! Nothing is broken for good, but everything is disturbed: connections, watches, definitions, writes. Each test has the
//! cluster alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::faults::{everything_works_again, skipped, warm};
use crate::world::{Cluster, PLATFORM, node, said, text};

/// Addresses of all routers' pods.
fn routers(cluster: &Cluster) -> Vec<String> {
    let path = "jsonpath={.items[*].status.podIP}";
    let found = cluster.kubectl_ok(&["get", "pods", "-n", PLATFORM, "-l", "svc=router", "-o", path]);
    found.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_that_reach_neither_the_api_server_nor_the_executor_serve_what_is_warm_and_catch_up() {
    let cluster = Cluster::alone("cut").await;
    let (name, path) = warm(&cluster).await;
    let routers = routers(&cluster);
    for router in &routers {
        let Some(cut) = cluster.fault(&["cut-pod", router]) else { return skipped("cut-pod") };
        text(&cut, "cut-pod");
    }
    let load = cluster.load(&path, 2);
    // What changes meanwhile is not seen by them, and the watch they had is from before a forgotten past.
    let new = cluster.function("new", &cluster.name("env"), "b.js", &node("new"), &[]);
    tokio::time::sleep(Duration::from_secs(15)).await;
    text(&cluster.fault(&["compact-etcd"]).unwrap(), "compact-etcd");
    load.all_were_answered().await;
    cluster.fission_ok(&["route", "delete", "--name", &name]);
    for router in &routers {
        text(&cluster.fault(&["mend-pod", router]).unwrap(), "mend-pod");
    }
    cluster.answers(&format!("/{new}"), "new").await;
    cluster.until(&path, |(status, _)| *status == 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_a_forgotten_past_starts_anew_and_nothing_is_missed() {
    let cluster = Cluster::alone("gone410").await;
    let (name, path) = warm(&cluster).await;
    let Some(stopped) = cluster.fault(&["stop-apiserver"]) else { return skipped("stop-apiserver") };
    text(&stopped, "stop-apiserver");
    text(&cluster.fault(&["compact-etcd"]).unwrap(), "compact-etcd");
    text(&cluster.fault(&["start-apiserver"]).unwrap(), "start-apiserver");
    everything_works_again(&cluster).await;
    cluster.write("a.js", &node("changed"));
    cluster.fission_ok(&["function", "update", "--name", &name, "--code", "a.js"]);
    cluster.answers(&path, "changed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_webhook_functions_run_and_a_write_is_refused_by_name() {
    let cluster = Cluster::alone("nohook").await;
    let (_, path) = warm(&cluster).await;
    let cold = cluster.function("cold", &cluster.name("env"), "b.js", &node("cold"), &[]);
    cluster.kubectl_ok(&["scale", "deployment/webhook", "-n", PLATFORM, "--replicas=0"]);
    cluster.kubectl_ok(&["wait", "--for=delete", "pod", "-l", "svc=webhook", "-n", PLATFORM, "--timeout=90s"]);
    let told = said(&cluster.fission(&["env", "create", "--name", "nohook-no", "--image", "fission/node-env"]));
    cluster.answers(&path, "here").await;
    cluster.answers(&format!("/{cold}"), "cold").await;
    cluster.kubectl_ok(&["scale", "deployment/webhook", "-n", PLATFORM, "--replicas=1"]);
    cluster.kubectl_ok(&["rollout", "status", "deployment/webhook", "-n", PLATFORM, "--timeout=120s"]);
    assert!(told.contains("webhook"), "{told}");
    everything_works_again(&cluster).await;
}

/// Writes an annotation of these objects, over and over, until told to end.
fn storm(cluster: &Arc<Cluster>, objects: Vec<String>, ended: &Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    let (cluster, ended) = (cluster.clone(), ended.clone());
    std::thread::spawn(move || {
        let written = AtomicUsize::new(0);
        while !ended.load(Ordering::Relaxed) {
            let value = format!("storm={}", written.load(Ordering::Relaxed));
            let mut arguments = vec!["annotate", "--overwrite", "-n", "default"];
            arguments.extend(objects.iter().map(String::as_str));
            arguments.push(&value);
            if cluster.kubectl(&arguments).status.success() {
                written.fetch_add(1, Ordering::Relaxed);
            }
        }
        written.into_inner()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_others_write_all_the_time_are_still_updated_and_served() {
    let cluster = Cluster::alone("storm").await;
    let (name, path) = warm(&cluster).await;
    let package = cluster.kubectl_ok(&["get", "function", &name, "-o", "jsonpath={.spec.package.packageref.name}"]);
    let objects = vec![
        format!("function/{name}"),
        format!("package/{package}"),
        format!("httptrigger/{name}"),
        format!("environment/{}", cluster.name("env")),
    ];
    let ended = Arc::new(AtomicBool::new(false));
    let storms: Vec<_> = (0..3).map(|_| storm(&cluster, objects.clone(), &ended)).collect();
    let load = cluster.load(&path, 1);
    for round in 0..3 {
        let body = format!("round {round}");
        cluster.write("a.js", &node(&body));
        cluster.fission_ok(&["function", "update", "--name", &name, "--code", "a.js"]);
        cluster.answers(&path, &body).await;
    }
    ended.store(true, Ordering::Relaxed);
    let written: usize = storms.into_iter().map(|storm| storm.join().unwrap()).sum();
    assert!(written > 10, "only {written} writes of others");
    load.all_were_answered().await;
    let ready = || {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        cluster.kubectl_ok(&["get", "function", &name, "-o", path]).trim() == "True"
    };
    cluster.eventually("the function is ready", ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_missing_or_old_is_named_and_waited_for() {
    let cluster = Cluster::alone("crds").await;
    let (_, path) = warm(&cluster).await;
    let definition = "canaryconfigs.fission.io";
    let saved = cluster.kubectl_ok(&["get", "crd", definition, "-o", "json"]);
    let mut old: serde_json::Value = serde_json::from_str(&saved).unwrap();
    let metadata = old["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| matches!(key.as_str(), "name" | "labels" | "annotations"));
    old.as_object_mut().unwrap().remove("status");
    let current = old.to_string();
    let fields = old.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
    fields.as_object_mut().unwrap().remove("weightincrement");
    cluster.write("old.json", &old.to_string());
    cluster.kubectl_ok(&["replace", "-f", "old.json"]);
    let old = said(&cluster.fission(&["check"]));
    cluster.kubectl_ok(&["delete", "crd", definition]);
    let missing = said(&cluster.fission(&["check"]));
    // Whoever starts while it is missing serves the kinds there are.
    cluster.kubectl_ok(&["rollout", "restart", "deployment/executor", "deployment/triggers", "-n", PLATFORM]);
    cluster.kubectl_ok(&["rollout", "status", "deployment/executor", "-n", PLATFORM, "--timeout=120s"]);
    cluster.answers(&path, "here").await;
    text(&cluster.apply(&current), "apply");
    assert!(old.contains("weightincrement"), "{old}");
    assert!(missing.contains("CanaryConfig"), "{missing}");
    everything_works_again(&cluster).await;
    let whole = said(&cluster.fission(&["check"]));
    assert!(whole.contains("the definitions of all 13 kinds are there and current"), "{whole}");
}
