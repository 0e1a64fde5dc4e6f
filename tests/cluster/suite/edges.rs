//! Where the platform meets what others keep: Ingresses of routes, code in a registry, pods that are there before anyone asks.

use fission_testkit::registry::{Item, Registry, layer};

use crate::world::{Cluster, PLATFORM, node, optional, skipped};

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_asks_for_an_ingress_has_one_as_long_as_it_asks() {
    let cluster = Cluster::shared("edge").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("hello", &env, "hello.js", &node("edge"), &[]);
    let ingress = || cluster.kubectl(&["get", "ingress", "-n", PLATFORM, &name, "-o", "json"]);
    assert!(!ingress().status.success(), "nobody asked");
    cluster.fission_ok(&[
        "route",
        "update",
        "--name",
        &name,
        "--route-provider",
        "ingress",
        "--route-host",
        "edge.example.com",
    ]);
    cluster.eventually("there is an Ingress", || ingress().status.success()).await;
    let made: serde_json::Value = serde_json::from_slice(&ingress().stdout).unwrap();
    let rule = &made["spec"]["rules"][0];
    assert_eq!(rule["host"], "edge.example.com", "{made:#}");
    let path = &rule["http"]["paths"][0];
    assert_eq!((&path["path"], &path["backend"]["service"]["name"]), (&format!("/{name}").into(), &"router".into()));
    let exposed = || {
        let trigger = cluster.get_json(&["httptrigger", "-n", "default", &name]);
        let conditions = trigger["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "Exposed" && one["status"] == "True")
    };
    cluster.eventually("the route says so", exposed).await;

    // Somebody breaks it; it is put right with the next change of the route.
    cluster.kubectl_ok(&["delete", "ingress", "-n", PLATFORM, &name]);
    cluster.fission_ok(&["route", "update", "--name", &name, "--route-host", "other.example.com"]);
    let host = || String::from_utf8_lossy(&ingress().stdout).contains("other.example.com");
    cluster.eventually("it is there again", host).await;

    cluster.fission_ok(&["route", "delete", "--name", &name]);
    cluster.eventually("it goes with its route", || !ingress().status.success()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_comes_from_a_registry_and_only_from_the_digest_that_was_asked_for() {
    let cluster = Cluster::shared("oci").await;
    let Some(host) = optional("FISSION_TEST_HOST") else {
        return skipped("code from a registry, as pods of this cluster cannot reach this machine");
    };
    let registry = Registry::start_at((host.parse::<std::net::IpAddr>().unwrap(), 0)).await.unwrap();
    let code = |text: &str| layer(&[Item::File("hello.js", 0o644, &node(text))]);
    let digest = registry.push("team/hello", "v1", &[code("from the registry")]);
    let env = cluster.environment("fission/node-env", 1);
    let image = format!("{}/team/hello:v1@{digest}", registry.host());
    let create = |word: &str| {
        let name = cluster.name(word);
        let of = ["function", "create", "--name", &name, "--env", &env, "--oci", &image, "--entrypoint", "hello"];
        cluster.fission_ok(&of);
        cluster.route(&name);
        name
    };
    let name = create("pulled");
    cluster.answers(&format!("/{name}"), "from the registry").await;
    assert!(registry.served() >= 2, "a manifest and a layer");

    // Another image under the same tag changes nothing for who asked for the digest; one that lies about it is refused.
    let other = registry.push("team/hello", "v1", &[code("something else")]);
    assert_ne!(other, digest);
    registry.claim("team/hello", &digest, b"{\"schemaVersion\": 2}".to_vec());
    let liar = create("lied");
    let (status, why) = cluster.until(&format!("/{liar}"), |(status, _)| *status >= 500).await;
    assert!(why.contains("digest"), "{status} {why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioned_pods_are_there_before_anyone_asks_and_come_back() {
    let cluster = Cluster::shared("prov").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("ready", &env, "ready.js", &node("ready"), &["--provisioned-concurrency", "2"]);
    cluster.eventually("two pods are the function's", || cluster.pods(&name).len() == 2).await;
    let told = || {
        let status = cluster.get_json(&["function", "-n", "default", &name])["status"].clone();
        (status["provisionedReady"].as_i64(), status["provisionedTarget"].as_i64()) == (Some(2), Some(2))
    };
    cluster.eventually("the function says so", told).await;
    let before = cluster.pods(&name);
    cluster.answers(&format!("/{name}"), "ready").await;
    assert_eq!(cluster.pods(&name), before, "who is there answers");

    cluster.kubectl_ok(&["delete", "pod", "-n", crate::world::PODS, &before[0], "--wait=false"]);
    let replaced = || {
        let now = cluster.pods(&name);
        now.len() == 2 && !now.contains(&before[0])
    };
    cluster.eventually("another takes its place", replaced).await;
}
