//! `fission export`, and that another platform becomes the same by it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::fake_cluster::Cluster;
use super::world::World;
use crate::yaml;

const LARGE: usize = 300 * 1024;

/// One object of every kind beside what the contract's examples have.
fn more() -> Vec<Value> {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({ "apiVersion": "fission.io/v1", "kind": kind, "metadata": { "name": name, "namespace": "default",
            "labels": { "team": "yes" }, "annotations": { "note": "a: b # c\n- d\n", "fission-uid": "old" } }, "spec": spec })
    };
    let reference = json!({ "type": "name", "name": "hello", "functionweights": null });
    vec![
        object(
            "CanaryConfig",
            "canary",
            json!({ "trigger": "hello-get", "newfunction": "hello", "oldfunction": "hello",
            "weightincrement": 20, "duration": "2m", "failurethreshold": 10, "failureType": "status-code" }),
        ),
        object(
            "FunctionVersion",
            "hello-v1",
            json!({ "functionName": "hello", "functionUID": "u", "sequence": 1,
            "functionGeneration": 1, "packageDigest": format!("sha256:{}", "0".repeat(64)),
            "publishedAt": "2026-01-01T00:00:00Z", "snapshot": {
                "environment": { "name": "nodejs", "namespace": "default" },
                "package": { "packageref": { "name": "hello-v1-pkg", "namespace": "default" } },
                "InvokeStrategy": { "StrategyType": "execution", "ExecutionStrategy": { "ExecutorType": "poolmgr" } } } }),
        ),
        object("WorkflowRun", "run", json!({ "workflowRef": "one-step" })),
        object("TimeTrigger", "later", json!({ "cron": "@every 1h", "functionref": reference })),
        json!({ "apiVersion": "fission.io/v1", "kind": "FissionTenant", "metadata": { "name": "team" },
            "spec": { "namespace": "team" } }),
    ]
}

fn api(world: &World, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let info = fission_api::kind(kind).unwrap();
    let gvk = GroupVersionKind::gvk("fission.io", "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, info.plural);
    match info.namespaced {
        true => Api::namespaced_with(world.client(), namespace, &resource),
        false => Api::all_with(world.client(), &resource),
    }
}

/// The spec of every object, by kind and name. A stamp is its server's own.
async fn specs(world: &World) -> BTreeMap<(String, String), Value> {
    let mut all = BTreeMap::new();
    for info in fission_api::KINDS {
        for object in api(world, info.kind, "default").list(&ListParams::default()).await.unwrap() {
            let mut spec = object.data["spec"].clone();
            if let Some(reference) = spec.pointer_mut("/package/packageref").and_then(Value::as_object_mut) {
                reference.remove("resourceversion");
            }
            all.insert((info.kind.to_owned(), object.metadata.name.unwrap()), spec);
        }
    }
    all
}

fn documents_below(dir: &Path) -> BTreeMap<(String, String), Value> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(documents_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            for document in yaml::documents(&text) {
                let value = yaml::value_of(document.text).unwrap();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                all.insert((text(&value["kind"]), text(&value["metadata"]["name"])), value);
            }
        }
    }
    all
}

/// A world with at least one object of every kind.
async fn with_every_kind() -> World {
    let world = World::with_function().await;
    let examples: Vec<Value> = serde_json::from_str(include_str!("../../../api/src/examples.json")).unwrap();
    for example in examples.into_iter().chain(more()) {
        let kind = example["kind"].as_str().unwrap().to_owned();
        let object: DynamicObject = serde_json::from_value(example.clone()).unwrap();
        match api(&world, &kind, "default").create(&PostParams::default(), &object).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{example}: {error}"),
        }
    }
    world
}

#[tokio::test]
async fn every_kind_is_exported_as_it_is() {
    let world = with_every_kind().await;
    let ran = world.run("export --all-namespaces --dir out").await;
    assert!(ran.good, "{}", ran.err);
    let (stored, written) = (specs(&world).await, documents_below(&world.path().join("out")));
    let kinds: Vec<&str> = fission_api::KINDS.iter().map(|info| info.kind).collect();
    let missing: Vec<&&str> = kinds.iter().filter(|kind| !stored.keys().any(|(stored, _)| stored == **kind)).collect();
    assert!(missing.is_empty(), "the test has no object of {missing:?}");
    for ((kind, name), spec) in &stored {
        let object = &written[&(kind.clone(), name.clone())];
        assert_eq!(&object["spec"], spec, "{kind} {name}");
        let server_fields = ["uid", "resourceVersion", "generation", "managedFields", "creationTimestamp"];
        assert!(server_fields.iter().all(|field| object["metadata"][field].is_null()), "{object}");
        assert!(object["status"].is_null(), "{object}");
        assert!(object["metadata"]["annotations"]["fission-uid"].is_null(), "{object}");
    }
    assert!(ran.err.contains("CanaryConfig, FunctionVersion, WorkflowRun, FissionTenant"), "{}", ran.err);
    assert!(world.path().join("out/history").is_dir(), "runs are kept apart");
    let mode = fs::metadata(world.path().join("out")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner reads it");
    assert!(world.fails("export --dir out").await.contains("there are files in it"));
}

/// A cluster with a small and a large archive in its storage.
async fn with_archives() -> (World, Cluster) {
    let mut world = World::with_function().await;
    let cluster = Cluster::of(&mut world).await;
    cluster.store_secret().await;
    world.file("large.js", vec![b'x'; LARGE]);
    world.ok("fn create --name large --env nodejs --code large.js").await;
    world.ok("route create --name large --function large --url /large --method GET").await;
    cluster.change(|state| state.archives.push(b"small".to_vec()));
    let small = json!({ "apiVersion": "fission.io/v1", "kind": "Package", "metadata": { "name": "small" }, "spec": {
        "environment": { "name": "nodejs", "namespace": "default" },
        "source": { "type": "url", "url": "http://storagesvc.fission/v1/archive?id=1" },
        "deployment": { "type": "url", "url": "https://example.org/code.zip" } } });
    cluster.post("/apis/fission.io/v1/namespaces/default/packages", &small).await;
    (world, cluster)
}

#[tokio::test]
async fn an_export_makes_another_platform_the_same() {
    let (world, _cluster) = with_archives().await;
    let ran = world.run("export --dir moved").await;
    assert!(ran.good, "{}", ran.err);
    assert!(ran.err.contains("which kubectl cannot apply: default/large"), "{}", ran.err);
    let folder = world.path().join("moved");
    let top: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("package"))
        .collect();
    assert_eq!(top.len(), 2, "kubectl sees packages without large archives only: {top:?}");
    let written = documents_below(&folder);
    let small = &written[&("Package".to_owned(), "small".to_owned())]["spec"];
    assert_eq!(small["source"]["literal"], "c21hbGw=", "{small}");
    assert_eq!(small["deployment"]["url"], "https://example.org/code.zip", "others' addresses stay");

    let mut other = World::new();
    let storage = Cluster::of(&mut other).await;
    storage.store_secret().await;
    let line = format!("spec apply --specdir {}", folder.display());
    other.ok(&line).await;
    assert_eq!(storage.state.lock().unwrap().archives, [vec![b'x'; LARGE]]);
    let (mut here, mut there) = (specs(&world).await, specs(&other).await);
    let small = ("Package".to_owned(), "small".to_owned());
    here.remove(&small);
    there.remove(&small);
    assert_eq!(here, there);
    assert!(other.ok(&line).await.contains("Everything up to date."));
}

#[tokio::test]
async fn a_stream_is_for_kubectl_and_says_what_stays_behind() {
    let (world, _cluster) = with_archives().await;
    let ran = world.run("export -o yaml").await;
    assert!(ran.good, "{}", ran.err);
    assert!(
        ran.err.contains("stay in the storage of this platform") && ran.err.contains("default/large"),
        "{}",
        ran.err
    );
    for document in yaml::documents(&ran.out) {
        let value = yaml::value_of(document.text).unwrap();
        assert_eq!(value["apiVersion"], "fission.io/v1", "{value}");
    }
}

#[tokio::test]
async fn an_archive_that_is_gone_fails_the_export_and_leaves_nothing() {
    let (world, cluster) = with_archives().await;
    cluster.change(|state| state.archives.clear());
    let err = world.fails("export --dir out").await;
    assert!(err.contains("deployment archive of package 'large-"), "{err}");
    assert!(err.contains("--without-archives"), "{err}");
    let left: Vec<_> =
        fs::read_dir(world.path()).unwrap().filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("export") || name == "out"), "{left:?}");
    world.ok("export --dir out --without-archives").await;
}

#[tokio::test]
async fn secrets_are_exported_only_when_asked_for() {
    let world = World::with_function().await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
    let secrets: Api<DynamicObject> = Api::namespaced_with(world.client(), "default", &kind);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "token" },
        "type": "Opaque", "data": { "key": "dmFsdWU=" } });
    let secret: DynamicObject = serde_json::from_value(secret).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    world.ok("fn update --name hello --secret token").await;
    let ran = world.run("export --dir without").await;
    assert!(ran.err.contains("Not exported (--with-secrets adds them): Secret default/token"), "{}", ran.err);
    assert!(!world.path().join("without/secret-token.yaml").exists());
    world.ok("export --dir with --with-secrets").await;
    let text = fs::read_to_string(world.path().join("with/secret-token.yaml")).unwrap();
    assert_eq!(yaml::value_of(&text).unwrap()["data"]["key"], "dmFsdWU=");
}
