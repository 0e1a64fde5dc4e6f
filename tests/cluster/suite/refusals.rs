//! What cannot work says why, to who asks.

use crate::world::{Cluster, PODS, node, said, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_is_named_in_the_answer() {
    let cluster = Cluster::shared("noimage").await;
    let env = cluster.environment("fission/no-such-image", 1);
    let name = cluster.function("fn", &env, "a.js", &node("x"), &[]);
    let named = |(_, body): &(u16, String)| body.contains("no-such-image") && body.contains("Pull");
    let (status, body) = cluster.until(&format!("/{name}"), named).await;
    assert_eq!(status, 500, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_does_not_load_is_told_with_its_place() {
    let cluster = Cluster::shared("broken").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", "module.exports = async () => { retur 1 };\n", &[]);
    let (status, body) = cluster.until(&format!("/{name}"), |(_, body)| body.contains("SyntaxError")).await;
    assert_eq!(status, 500, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_is_named_in_the_answer() {
    let cluster = Cluster::alone("quota").await;
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: { name: quota-none, namespace: fission-function }\nspec: { hard: { pods: '0' } }\n";
    text(&cluster.apply(quota), "quota");
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("after"), &[]);
    let path = format!("/{name}");
    let (_, body) = cluster.until(&path, |(_, body)| body.contains("quota")).await;
    cluster.kubectl_ok(&["delete", "resourcequota", "quota-none", "-n", PODS]);
    assert!(body.contains("exceeded quota"), "{body}");
    cluster.answers(&path, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_object_is_refused_before_it_is_stored_with_its_field() {
    let cluster = Cluster::shared("wrong").await;
    let yaml = "
apiVersion: fission.io/v1
kind: Environment
metadata: { name: wrong-env, namespace: default }
spec: { version: 3, runtime: { image: i, podspec: { hostNetwork: true, containers: [] } } }
";
    let output = cluster.apply(yaml);
    let told = said(&output);
    assert!(!output.status.success() && told.contains("hostNetwork"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_named_with_verb_and_resource() {
    let cluster = Cluster::shared("rbac").await;
    let account = "rbac-nobody";
    cluster.kubectl(&["create", "serviceaccount", account, "-n", "default"]);
    let token = cluster.kubectl_ok(&["create", "token", account, "-n", "default"]);
    let told = said(&cluster.article("fission function list", token.trim()));
    cluster.kubectl(&["delete", "serviceaccount", account, "-n", "default"]);
    assert!(told.contains("list") && told.contains("functions"), "{told}");
}
