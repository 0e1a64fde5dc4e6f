//! The API as kubectl sees it.

use std::io::BufRead;
use std::process::{Command, Stdio};

use crate::world::{Platform, required};

const ENVIRONMENT: &str = "apiVersion: fission.io/v1
kind: Environment
metadata: { name: node, namespace: default, labels: { tier: web } }
spec:
  version: 3
  poolsize: 0
  runtime: { image: fission/node-env }
";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_reads_changes_and_deletes() {
    let platform = Platform::start();
    let file = platform.source("env.yaml", ENVIRONMENT);
    assert!(platform.kubectl(&["apply", "-f", &file]).contains("created"));
    assert!(platform.kubectl(&["apply", "-f", &file]).contains("unchanged"));
    assert!(platform.kubectl(&["get", "environments"]).contains("node"));
    assert!(platform.kubectl(&["get", "environment", "node", "-o", "yaml"]).contains("image: fission/node-env"));
    assert!(platform.kubectl(&["get", "environments", "-l", "tier=web", "-o", "name"]).contains("node"));
    assert_eq!(platform.kubectl(&["get", "environments", "-l", "tier!=web", "-o", "name"]), "");

    platform.kubectl(&["patch", "environment", "node", "--type", "merge", "-p", r#"{"spec":{"poolsize":1}}"#]);
    let json_patch = r#"[{"op":"replace","path":"/spec/poolsize","value":2}]"#;
    platform.kubectl(&["patch", "environment", "node", "--type", "json", "-p", json_patch]);
    let size = platform.kubectl(&["get", "environment", "node", "-o", "jsonpath={.spec.poolsize}"]);
    assert_eq!(size, "2");
    platform.kubectl(&["label", "environment", "node", "team=a"]);
    platform.kubectl(&["annotate", "environment", "node", "note=b"]);
    // What `kubectl edit` does: read, change, replace.
    let yaml = platform.kubectl(&["get", "environment", "node", "-o", "yaml"]).replace("poolsize: 2", "poolsize: 0");
    let edited = platform.source("edited.yaml", &yaml);
    assert!(platform.kubectl(&["replace", "-f", &edited]).contains("replaced"));
    let stale = platform.kubectl_output(&["replace", "-f", &edited]);
    assert!(!stale.status.success(), "a stale resourceVersion conflicts");
    assert!(
        String::from_utf8_lossy(&stale.stderr).contains("Conflict")
            || String::from_utf8_lossy(&stale.stderr).contains("the object has been modified")
    );

    assert!(platform.kubectl(&["describe", "environment", "node"]).contains("fission/node-env"));
    assert!(platform.kubectl(&["delete", "environment", "node"]).contains("deleted"));
    let gone = platform.kubectl_output(&["get", "environment", "node"]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("NotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_keeps_owners_apart() {
    let platform = Platform::start();
    let file = platform.source("env.yaml", ENVIRONMENT);
    platform.kubectl(&["apply", "--server-side", "--field-manager=a", "-f", &file]);
    let other = platform.source("other.yaml", &ENVIRONMENT.replace("poolsize: 0", "poolsize: 5"));
    let conflict = platform.kubectl_output(&["apply", "--server-side", "--field-manager=b", "-f", &other]);
    let said = String::from_utf8_lossy(&conflict.stderr).into_owned();
    assert!(!conflict.status.success() && said.contains("conflict") && said.contains(".spec.poolsize"), "{said}");
    platform.kubectl(&["apply", "--server-side", "--force-conflicts", "--field-manager=b", "-f", &other]);
    assert_eq!(platform.kubectl(&["get", "environment", "node", "-o", "jsonpath={.spec.poolsize}"]), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_discovers_and_explains_the_api() {
    let platform = Platform::start();
    let resources = platform.kubectl(&["api-resources"]);
    for plural in ["functions", "environments", "packages", "httptriggers", "configmaps", "secrets", "leases"] {
        assert!(resources.contains(plural), "{plural} is missing:\n{resources}");
    }
    assert!(platform.kubectl(&["explain", "function.spec.requestsPerPod"]).contains("requests"));
    assert!(platform.kubectl(&["version"]).contains("Server Version"));
    assert!(platform.kubectl(&["get", "fn"]).is_empty() || platform.kubectl_output(&["get", "fn"]).status.success());
    assert!(platform.kubectl(&["get", "namespaces"]).contains("default"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_objects_are_refused_with_the_path_of_the_field() {
    let platform = Platform::start();
    let bad = platform.source("bad.yaml", &ENVIRONMENT.replace("version: 3", "version: 9"));
    let refused = platform.kubectl_output(&["apply", "-f", &bad]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("spec.version"), "{said}");
    let typo = platform.source("typo.yaml", &ENVIRONMENT.replace("poolsize", "poolSize"));
    let refused = platform.kubectl_output(&["create", "--validate=strict", "-f", &typo]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("poolSize"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_watches_and_waits() {
    let platform = Platform::start();
    let kubectl = required("KUBECTL", "the kubectl to test with; `make test` sets it");
    let mut watch = Command::new(kubectl);
    platform.prepare(&mut watch).env("KUBECONFIG", platform.kubeconfig()).stdout(Stdio::piped());
    let mut watch = watch.args(["get", "environments", "--watch", "-o", "name"]).spawn().unwrap();
    let lines = std::io::BufReader::new(watch.stdout.take().unwrap()).lines();
    let seen = tokio::task::spawn_blocking(move || lines.map_while(Result::ok).next());
    let file = platform.source("env.yaml", ENVIRONMENT);
    platform.kubectl(&["apply", "-f", &file]);
    assert!(seen.await.unwrap().unwrap().contains("node"));
    watch.kill().unwrap();
    watch.wait().unwrap();

    let code = platform.source("hello.js", "module.exports = async () => ({ status: 200, body: 'x' });");
    platform.ok(&["function", "create", "--name", "hello", "--env", "node", "--code", &code]);
    platform.route("hello");
    platform.kubectl(&["wait", "--for=condition=RouteAdmitted", "httptrigger/hello", "--timeout=30s"]);
    assert_eq!(platform.get("/hello").await.0, 200);
    platform.kubectl(&["wait", "--for=condition=Ready", "function/hello", "--timeout=30s"]);
    platform.kubectl(&["delete", "httptrigger", "hello", "--wait"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_takes_its_objects_along() {
    let platform = Platform::start();
    let file = platform.source(
        "team.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: { name: team }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: c, \
         namespace: team }\ndata: { a: b }\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: s, namespace: team }\n\
         stringData: { a: b }\n",
    );
    platform.kubectl(&["apply", "-f", &file]);
    assert_eq!(platform.kubectl(&["get", "secret", "s", "-n", "team", "-o", "jsonpath={.data.a}"]), "Yg==");
    platform.kubectl(&["delete", "namespace", "team"]);
    let list = platform.object("/api/v1/configmaps").await;
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["metadata"]["namespace"] != "team"));
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_is_refused_with_a_way_around() {
    let platform = Platform::start();
    let refused = platform.kubectl_output(&["create", "namespace", "team"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("protobuf") && said.contains("application/json"), "{said}");
}
