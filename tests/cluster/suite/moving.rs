//! The same objects on another platform: from a laptop to the cluster and back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::{Cluster, PATIENCE, node, text};

/// The kinds that move, and whose specs are compared.
const KINDS: &[&str] = &["environments", "functions", "packages", "httptriggers"];

/// Names and specs of all objects of a kind, but what only the platform knows that has them.
fn specs(listed: &Value) -> BTreeMap<String, Value> {
    let items = listed["items"].as_array().expect("a list");
    let spec = |one: &Value| {
        let mut spec = one["spec"].clone();
        // It says which stored version was last deployed, and that is another on another platform.
        if let Some(reference) = spec.pointer_mut("/package/packageref").and_then(Value::as_object_mut) {
            reference.remove("resourceversion");
        }
        for archive in ["deployment", "source"] {
            // Where the archive is kept; its checksum tells whether it is the same.
            if let Some(archive) = spec.get_mut(archive).and_then(Value::as_object_mut) {
                archive.remove("url");
            }
        }
        spec
    };
    items.iter().map(|one| (one["metadata"]["name"].as_str().unwrap().to_owned(), spec(one))).collect()
}

/// `fission up` in a folder of its own.
struct Laptop {
    process: Child,
    folder: TempDir,
}

impl Laptop {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_fission"))
            .args(["up", "--data"])
            .arg(folder.path())
            .args(["--listen-api", "127.0.0.1:0", "--listen-router", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let laptop = Self { process, folder };
        let started = Instant::now();
        while !laptop.folder.path().join("status.json").exists() {
            assert!(started.elapsed() < PATIENCE, "the platform on this machine did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        laptop
    }

    fn run(&self, program: &str, arguments: &[&str], folder: &Path) -> String {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        text(&command.output().unwrap(), &format!("{program} {arguments:?}"))
    }

    fn fission(&self, arguments: &[&str], folder: &Path) {
        self.run(env!("CARGO_BIN_EXE_fission"), arguments, folder);
    }

    fn specs(&self, folder: &Path) -> Vec<BTreeMap<String, Value>> {
        let list = |kind: &&str| self.run("kubectl", &["get", kind, "-n", "default", "-o", "json"], folder);
        KINDS.iter().map(|kind| specs(&serde_json::from_str(&list(kind)).unwrap())).collect()
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn specs_on(cluster: &Cluster) -> Vec<BTreeMap<String, Value>> {
    KINDS.iter().map(|kind| specs(&cluster.get_json(&[kind, "-n", "default"]))).collect()
}

/// Removes whatever earlier tests left behind, and waits until it is gone.
fn clear(cluster: &Cluster) {
    cluster.kubectl_ok(&["delete", "httptriggers,functions,packages,environments", "-n", "default", "--all"]);
}

/// Fifty of each kind. Only the first environment has a pool, so that the others cost nothing.
fn two_hundred() -> String {
    let mut yaml = String::new();
    for number in 0..50 {
        let pool = usize::from(number == 0);
        let code = base64(&node(&format!("moved {number}")));
        write!(
            yaml,
            "
apiVersion: fission.io/v1
kind: Environment
metadata: {{ name: e{number}, namespace: default, labels: {{ team: t{number} }} }}
spec: {{ version: 3, poolsize: {pool}, terminationGracePeriod: 4, runtime: {{ image: fission/node-env }} }}
---
apiVersion: fission.io/v1
kind: Package
metadata: {{ name: p{number}, namespace: default, annotations: {{ note: 'number {number}' }} }}
spec: {{ environment: {{ name: e{number}, namespace: default }}, source: {{}}, deployment: {{ type: literal, literal: {code} }} }}
---
apiVersion: fission.io/v1
kind: Function
metadata: {{ name: f{number}, namespace: default }}
spec:
  environment: {{ name: e{number}, namespace: default }}
  package: {{ packageref: {{ name: p{number}, namespace: default }} }}
  functionTimeout: {timeout}
  InvokeStrategy: {{ StrategyType: execution, ExecutionStrategy: {{ ExecutorType: poolmgr }} }}
---
apiVersion: fission.io/v1
kind: HTTPTrigger
metadata: {{ name: h{number}, namespace: default }}
spec: {{ relativeurl: /f{number}, methods: [GET], functionref: {{ type: name, name: f{number} }} }}
---",
            timeout = 60 + number
        )
        .unwrap();
    }
    yaml
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_comes_back_as_it_was() {
    let cluster = Cluster::alone("moving").await;
    let env = cluster.environment("fission/node-env", 1);
    let name = cluster.function("fn", &env, "a.js", &node("moved"), &[]);
    cluster.answers(&format!("/{name}"), "moved").await;
    let before = specs_on(&cluster);
    cluster.fission_ok(&["export", "--dir", "exported"]);
    clear(&cluster);
    cluster.fission_ok(&["spec", "apply", "--specdir", "exported"]);
    assert_eq!(before, specs_on(&cluster));
    cluster.answers(&format!("/{name}"), "moved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_objects_and_an_archive_move_from_a_laptop_to_the_cluster_and_back() {
    let cluster = Cluster::alone("two-hundred").await;
    clear(&cluster);
    let folder = cluster.folder.path();
    let laptop = Laptop::start().await;
    cluster.write("all.yaml", &two_hundred());
    laptop.run("kubectl", &["create", "-f", "all.yaml"], folder);
    // Too large to be inside its object: it is in the laptop's store.
    let padding = "// padding\n".repeat(40_000);
    cluster.write("large.js", &format!("{}{padding}", node("large")));
    laptop.fission(&["function", "create", "--name", "large", "--env", "e0", "--code", "large.js"], folder);
    laptop.fission(&["route", "create", "--name", "large", "--url", "/large", "--function", "large"], folder);
    let there = laptop.specs(folder);
    laptop.fission(&["export", "--dir", "from-laptop"], folder);
    drop(laptop);

    cluster.fission_ok(&["spec", "apply", "--specdir", "from-laptop"]);
    assert_eq!(there, specs_on(&cluster));
    cluster.answers("/f0", "moved 0").await;
    cluster.answers("/large", "large").await;
    cluster.fission_ok(&["export", "--dir", "from-cluster"]);
    clear(&cluster);

    let back = Laptop::start().await;
    back.fission(&["spec", "apply", "--specdir", "from-cluster"], folder);
    assert_eq!(there, back.specs(folder));
}
