//! The same objects on another platform.

use crate::world::{Cluster, node};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_comes_back_as_it_was() {
    let cluster = Cluster::alone("moving").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("moved"), &[]);
    cluster.answers(&format!("/{name}"), "moved").await;
    let specs = |kind: &str| {
        let found = cluster.get_json(&[kind, "-n", "default"]);
        let mut all: Vec<_> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["metadata"]["name"].clone(), one["spec"].clone()))
            .collect();
        all.sort_by_key(|(name, _)| name.to_string());
        for (_, spec) in &mut all {
            // It says which stored version was last deployed, and that is another on another platform.
            if let Some(reference) = spec.pointer_mut("/package/packageref").and_then(serde_json::Value::as_object_mut)
            {
                reference.remove("resourceversion");
            }
        }
        all
    };
    let kinds = ["environments", "functions", "packages", "httptriggers"];
    let before: Vec<_> = kinds.iter().map(|kind| specs(kind)).collect();
    cluster.fission_ok(&["export", "--dir", "exported"]);
    cluster.kubectl_ok(&["delete", "httptriggers,functions,packages,environments", "-n", "default", "--all"]);
    cluster.fission_ok(&["spec", "apply", "--specdir", "exported"]);
    let after: Vec<_> = kinds.iter().map(|kind| specs(kind)).collect();
    assert_eq!(before, after);
    cluster.answers(&format!("/{name}"), "moved").await;
}
