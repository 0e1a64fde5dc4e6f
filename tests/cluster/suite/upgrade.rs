//! From the previous commit to this one, while functions are called.

use std::path::PathBuf;
use std::time::Duration;

use crate::world::{Cluster, PLATFORM, node, optional};

/// The Deployments of `fission.yaml`.
const COMPONENTS: &[&str] =
    &["executor", "storagesvc", "webhook", "controller", "buildermgr", "triggers", "logs", "router"];

fn install(cluster: &Cluster, file: &std::path::Path) {
    cluster.kubectl_ok(&["apply", "--server-side", "--force-conflicts", "-f", file.to_str().unwrap()]);
    for component in COMPONENTS {
        cluster.kubectl_ok(&[
            "rollout",
            "status",
            &format!("deployment/{component}"),
            "-n",
            PLATFORM,
            "--timeout=180s",
        ]);
    }
}

fn images(cluster: &Cluster) -> String {
    let path = "jsonpath={.items[*].spec.template.spec.containers[*].image}";
    cluster.kubectl_ok(&["get", "deployments", "-n", PLATFORM, "-o", path])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_from_the_previous_commit_drops_no_request() {
    // A folder with the previous commit's fission.yaml, whose image has the tag `previous`; tests/cluster/run makes it.
    let Some(previous) = optional("FISSION_TEST_PREVIOUS").map(PathBuf::from) else {
        return crate::faults::skipped("the upgrade: FISSION_TEST_PREVIOUS is not set, and it");
    };
    let cluster = Cluster::alone("upgrade").await;
    install(&cluster, &previous.join("fission.yaml"));
    assert!(images(&cluster).contains(":previous"), "{}", images(&cluster));
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("here"), &["--requestsperpod", "50"]);
    let path = format!("/{name}");
    cluster.answers(&path, "here").await;
    let before = cluster.serving(&name).await;

    let load = cluster.load(&path, 3);
    let deploy = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/fission.yaml"));
    install(&cluster, &deploy);
    assert!(!images(&cluster).contains(":previous"), "{}", images(&cluster));
    let new = cluster.function("new", &env, "b.js", &node("new"), &[]);
    cluster.answers(&format!("/{new}"), "new").await;
    // The last of the old routers ends this long after the new ones are ready.
    tokio::time::sleep(Duration::from_secs(7)).await;
    load.all_were_answered().await;
    assert_eq!(cluster.pods(&name), before, "what served goes on serving");
}
