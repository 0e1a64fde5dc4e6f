//! Commands against a platform in a cluster, through the API server only.

use serde_json::json;

use super::fake_cluster::{Cluster, SECRET, server_pod};
use super::world::World;

/// Larger than a package may hold itself.
const LARGE: usize = 300 * 1024;

async fn with_function() -> (World, Cluster) {
    let mut world = World::with_function().await;
    let cluster = Cluster::of(&mut world).await;
    (world, cluster)
}

fn set(world: &mut World, name: &str, value: &str) {
    let mut vars = vec![(name.to_owned(), value.to_owned())];
    for known in ["KUBECONFIG", "FISSION_DATA", "FISSION_NAMESPACE", "FISSION_INTERNAL_AUTH_SECRET"] {
        if let Some(value) = world.vars.get(known).filter(|_| known != name) {
            vars.push((known.to_owned(), value.to_owned()));
        }
    }
    world.vars = vars.into_iter().collect();
}

#[tokio::test]
async fn a_function_is_called_through_the_routers_pod_with_the_clusters_secret() {
    let (world, cluster) = with_function().await;
    cluster.store_secret().await;
    let out = world.ok("fn test --name hello --method POST --body hi --subpath /a -q b=c").await;
    assert_eq!(out, "called /fission-function/hello/a?b=c with hi");
    assert_eq!(cluster.reached(), ["router-1:8889 POST /fission-function/hello/a?b=c"]);
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_named_when_the_platform_refuses() {
    let (mut world, cluster) = with_function().await;
    cluster.store_secret().await;
    let why = "secrets \"fission-internal-auth\" is forbidden: User \"u\" cannot get resource \"secrets\"";
    cluster.change(|state| state.forbidden.push(("/api/v1/namespaces/fission/secrets", why)));
    let err = world.fails("archive list").await;
    assert!(err.contains("cannot get resource \"secrets\"") && err.contains("FISSION_INTERNAL_AUTH_SECRET"), "{err}");
    let err = world.fails("fn test --name hello").await;
    assert!(err.contains("FISSION_INTERNAL_AUTH_SECRET"), "{err}");
    set(&mut world, "FISSION_INTERNAL_AUTH_SECRET", SECRET);
    world.ok("archive list").await;
    set(&mut world, "FISSION_INTERNAL_AUTH_SECRET", "another");
    let err = world.fails("archive list").await;
    assert!(err.contains("the secret is not the platform's"), "{err}");
}

#[tokio::test]
async fn large_code_is_uploaded_through_the_storage_services_pod() {
    let (world, cluster) = with_function().await;
    cluster.store_secret().await;
    world.file("large.js", vec![b'x'; LARGE]);
    world.ok("fn create --name large --env nodejs --code large.js").await;
    assert_eq!(cluster.state.lock().unwrap().archives, [vec![b'x'; LARGE]]);
    assert_eq!(world.ok("fn get --name large").await.len(), LARGE);
    assert_eq!(world.ok("archive list").await, "ARCHIVES\n0\n");
    let reached = cluster.reached();
    assert!(reached.iter().all(|request| request.starts_with("storagesvc-1:8000 ")), "{reached:?}");
}

#[tokio::test]
async fn spec_apply_uploads_through_the_storage_services_pod() {
    let (world, cluster) = with_function().await;
    cluster.store_secret().await;
    world.ok("spec init --name demo").await;
    world.file("large.js", vec![b'y'; LARGE]);
    world.ok("env create --name node2 --image fission/node-env --spec").await;
    world.ok("fn create --name two --env node2 --code large.js --spec").await;
    let out = world.ok("spec apply").await;
    assert!(out.contains("uploading archive archive://large"), "{out}");
    assert_eq!(cluster.state.lock().unwrap().archives, [vec![b'y'; LARGE]]);
    assert!(world.ok("spec apply").await.contains("Everything up to date."));
}

#[tokio::test]
async fn behind_a_controller_the_api_server_itself_is_asked() {
    let (world, cluster) = with_function().await;
    cluster.change(|state| state.fronted = true);
    assert_eq!(world.ok("archive list").await, "ARCHIVES\n");
    assert!(cluster.reached().iter().all(|request| request.starts_with("front ")));
}

#[tokio::test]
async fn what_was_looked_for_is_told_when_nothing_is_found() {
    let (mut world, cluster) = with_function().await;
    set(&mut world, "FISSION_NAMESPACE", "elsewhere");
    let err = world.fails("archive list").await;
    assert!(err.contains("no pods labelled application=fission-storage in namespace elsewhere"), "{err}");
    assert!(err.contains("FISSION_STORAGESVC_URL"), "{err}");
    set(&mut world, "FISSION_NAMESPACE", "");
    cluster.change(|state| {
        let labels = json!({ "application": "fission-storage" });
        state.pods.push(server_pod("other", "fission-two", labels));
    });
    let err = world.fails("archive list").await;
    assert!(err.contains("several installations") && err.contains("fission, fission-two"), "{err}");
    cluster.change(|state| {
        state.pods.retain(|pod| pod["metadata"]["namespace"] == "fission");
        state.pods[1]["status"] = json!({ "phase": "Pending" });
    });
    let err = world.fails("archive list").await;
    assert!(err.contains("the storage service is not ready: storagesvc-1 (Pending)"), "{err}");
    let why = "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
    cluster.change(|state| {
        state.pods.clear();
        state.forbidden.push(("/api/v1/pods", why));
    });
    let err = world.fails("archive list").await;
    assert!(err.contains("in namespaces fission and default, and you may not list"), "{err}");
}

#[tokio::test]
async fn logs_are_the_environment_containers_of_all_pods_by_time() {
    let (world, cluster) = with_function().await;
    let pod = |name: &str| {
        let labels = json!({
            "functionName": "hello", "functionNamespace": "default", "environmentName": "nodejs", "managed": "false",
        });
        let mut pod = server_pod(name, "default", labels);
        pod["spec"]["containers"] = json!([{ "name": "fetcher" }, { "name": "nodejs" }]);
        pod
    };
    cluster.change(|state| {
        state.pods.extend([pod("hello-1"), pod("hello-2")]);
        state.log = "2026-11-23T10:00:00.5Z one\n2026-11-23T10:00:01Z two\n".to_owned();
    });
    assert_eq!(world.ok("fn logs --name hello").await, "one\none\ntwo\ntwo\n");
    assert_eq!(world.ok("fn logs --name hello --recordcount 3 --reverse").await, "two\ntwo\none\n");
    let out = world.ok("fn logs --name hello --pod hello-2 --detail --container fetcher --previous").await;
    assert_eq!(out, "2026-11-23T10:00:00.5Z hello-2 - - one\n2026-11-23T10:00:01Z hello-2 - - two\n");
    let asked = cluster.state.lock().unwrap().logs_asked.clone();
    assert_eq!(
        (asked[0].as_str(), asked.last().unwrap().as_str()),
        (
            "/api/v1/namespaces/default/pods/hello-1/log?timestamps=true&container=nodejs&tailLines=20",
            "/api/v1/namespaces/default/pods/hello-2/log?timestamps=true&container=fetcher&tailLines=20&previous=true"
        )
    );
    assert!(world.fails("fn logs --name hello --pod none").await.contains("known: hello-1, hello-2"));
    let out = world.ok("fn pods --name hello").await;
    assert!(out.contains("hello-1") && out.contains("hello-2") && !out.contains("router-1"), "{out}");
    let why = "pods \"hello-1\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\" in the \
               namespace \"default\"";
    cluster.change(|state| state.forbidden.push(("/api/v1/namespaces/default/pods/hello-1/log", why)));
    let err = world.fails("fn logs --name hello").await;
    assert!(err.contains("the verb 'get' on pods/log in namespace default"), "{err}");
}

#[tokio::test]
async fn check_tells_servers_and_version_tells_what_they_run() {
    let (world, cluster) = with_function().await;
    cluster.store_secret().await;
    let out = world.run("check").await.out;
    for line in [
        "√ executor: 1 of 1 ready",
        "√ router: 1 of 1 ready",
        "√ the router answers at pod router-1 in namespace fission",
        "√ the storage service answers (0 archives)",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    cluster.change(|state| state.pods.retain(|pod| pod["metadata"]["name"] != "executor-1"));
    let out = world.run("check").await.out;
    assert!(out.contains("× executor: no pod labelled svc=executor in namespace fission\n  hint: "), "{out}");
    let out = world.ok("version").await;
    assert!(out.contains("Version: \"1.2.3\"") && out.contains("storagesvc: fission:1.2.3"), "{out}");
}
