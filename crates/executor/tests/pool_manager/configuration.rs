//! Secrets, config maps and variables: delivered with the code, and followed when they change.

use std::sync::Mutex;

use fission_api::labels;
use fission_executor::Options;
use fission_executor::configuration::Configuration;
use fission_rpc::cache::ObjectKey;
use fission_rpc::executor::{ColdRequest, Executor};
use fission_testkit::{World, eventually, fixtures};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::*;

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace: Some("default".to_owned()), ..ObjectMeta::default() }
}

fn config_map(name: &str, mode: &str) -> ConfigMap {
    let data = Some([("mode".to_owned(), mode.to_owned())].into());
    ConfigMap { metadata: metadata(name), data, ..ConfigMap::default() }
}

fn secret(name: &str) -> Secret {
    let data = Some([("password".to_owned(), ByteString(b"geheim".to_vec()))].into());
    Secret { metadata: metadata(name), data, ..Secret::default() }
}

/// The same function with secret `db` and config map `app` as files and as variables.
fn configured(mut function: Function) -> Function {
    let mut spec = serde_json::to_value(&function.spec).unwrap();
    spec["secrets"] = json!([{"namespace": "default", "name": "db"}]);
    spec["configmaps"] = json!([{"namespace": "default", "name": "app"}]);
    spec["env"] = json!([{"name": "PLAIN", "value": "x"}]);
    spec["envFrom"] = json!([{"configMapRef": {"name": "app"}}]);
    function.spec = serde_json::from_value(spec).unwrap();
    function
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: name.into() }
}

/// What each load was given, in order.
fn given(world: &World) -> Arc<Mutex<Vec<Configuration>>> {
    let given = Arc::<Mutex<Vec<Configuration>>>::default();
    let seen = given.clone();
    world.backend.on_specialize(move |_, load| {
        seen.lock().unwrap().push(load.configuration.clone());
        None
    });
    given
}

fn modes(given: &Mutex<Vec<Configuration>>) -> Vec<String> {
    given.lock().unwrap().iter().map(|configuration| configuration.env["mode"].clone()).collect()
}

fn declare_objects(world: &World) {
    world.declared.secrets.apply(secret("db"));
    world.declared.config_maps.apply(config_map("app", "one"));
}

#[tokio::test(start_paused = true)]
async fn every_executor_type_gets_files_and_variables_with_its_code() {
    for function in [fixtures::function("hello"), fixtures::newdeploy("hello", 0, 1)] {
        let world = World::new(Options::default(), 1);
        let given = given(&world);
        declare_objects(&world);
        let function = world.declare(configured(function));
        ask(&world, &function).await.unwrap();
        let loaded = given.lock().unwrap()[0].clone();
        let paths: Vec<&str> = loaded.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["default/db/password", "default/app/mode"]);
        assert_eq!((loaded.env["mode"].as_str(), loaded.env["PLAIN"].as_str()), ("one", "x"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_config_map_replaces_instances_and_drops_no_request() {
    let world = Arc::new(World::new(Options::default(), 2));
    let given = given(&world);
    declare_objects(&world);
    let function = world.declare(configured(fixtures::function("hello")));
    let serving = ask(&world, &function).await.unwrap();
    let old = serving.lease.endpoint().clone();
    let mut requests = Vec::new();
    for round in 0..20 {
        requests.extend(burst(&world, &function, 3, ms(30)));
        tokio::time::sleep(ms(7)).await;
        world.declared.config_maps.apply(config_map("app", &format!("round {round}")));
    }
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert!(old.is_closed());
    assert!(world.backend.living().contains(&old.id), "its request is still in flight");
    drop(serving);
    eventually("the old instance is gone", || !world.backend.living().contains(&old.id)).await;
    ask(&world, &function).await.unwrap();
    assert_eq!(modes(&given).last().unwrap(), "round 19");
}

#[tokio::test(start_paused = true)]
async fn a_changed_annotation_that_instances_act_on_replaces_them_and_others_do_not() {
    let world = World::new(Options::default(), 1);
    let loaded = Arc::<Mutex<Vec<Arc<Function>>>>::default();
    let seen = loaded.clone();
    world.backend.on_specialize(move |_, load| {
        seen.lock().unwrap().push(load.function.clone());
        None
    });
    let function = world.declare(fixtures::function("hello"));
    let first = ask(&world, &function).await.unwrap().lease.endpoint().clone();
    let annotated = |name: &str, value: &str| {
        let mut changed = function.as_ref().clone();
        changed.metadata.annotations.get_or_insert_default().insert(name.to_owned(), value.to_owned());
        world.declared.functions.apply(changed);
    };
    annotated("note", "for people");
    tokio::time::sleep(ms(50)).await;
    assert!(!first.is_closed());
    annotated(labels::ALLOWED_HOSTS, "api.example.com");
    eventually("the old instance is gone", || !world.backend.living().contains(&first.id)).await;
    // Whoever asks may not have seen the change yet.
    assert_ne!(ask(&world, &function).await.unwrap().lease.endpoint().id, first.id);
    let last = loaded.lock().unwrap().last().unwrap().metadata.annotations.clone().unwrap_or_default();
    assert_eq!(last.get(labels::ALLOWED_HOSTS).map(String::as_str), Some("api.example.com"));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_loaded_while_an_annotation_changes_serves_nobody_who_comes_later() {
    let world = Arc::new(World::new(Options::default(), 1));
    world.backend.set_specialize_delay(ms(100));
    let function = world.declare(fixtures::function("hello"));
    // A router that does not see the change for a while.
    let endpoints = world.index.group(&function);
    let stale = || {
        let (world, function, endpoints) = (world.clone(), function.clone(), endpoints.clone());
        let deadline = tokio::time::Instant::now().into_std() + PATIENCE;
        tokio::spawn(async move { world.pool_manager.admit(ColdRequest { function, endpoints, deadline }).await })
    };
    let before = stale();
    tokio::time::sleep(ms(50)).await;
    let mut changed = function.as_ref().clone();
    changed.metadata.annotations.get_or_insert_default().insert(labels::NETWORK.to_owned(), "none".to_owned());
    world.declared.functions.apply(changed.clone());
    tokio::time::sleep(ms(10)).await;
    let after = stale();
    let before = before.await.unwrap().unwrap().lease.endpoint().id.clone();
    let after = after.await.unwrap().unwrap();
    assert_ne!(after.lease.endpoint().id, before);
    drop(after);
    let warm = ask(&world, &Arc::new(changed)).await.unwrap();
    assert_ne!(warm.lease.endpoint().id, before);
    assert_eq!(warm.wait, Duration::ZERO, "who has seen the change finds what was made for it");
}

#[tokio::test(start_paused = true)]
async fn only_changed_data_replaces_instances_and_only_of_functions_that_refer_to_it() {
    let world = World::new(Options::default(), 1);
    declare_objects(&world);
    let function = world.declare(configured(fixtures::function("hello")));
    let other = world.declare(fixtures::function("other"));
    let (one, two) = (ask(&world, &function).await.unwrap(), ask(&world, &other).await.unwrap());
    let mut relabelled = config_map("app", "one");
    relabelled.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
    world.declared.config_maps.apply(relabelled);
    world.declared.config_maps.apply(config_map("unrelated", "x"));
    tokio::time::sleep(ms(100)).await;
    assert!(!one.lease.endpoint().is_closed());
    let mut rotated = secret("db");
    rotated.data = Some([("password".to_owned(), ByteString(b"neu".to_vec()))].into());
    world.declared.secrets.apply(rotated);
    eventually("the old secret takes no more requests", || one.lease.endpoint().is_closed()).await;
    assert!(!two.lease.endpoint().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_change_while_a_function_is_loaded_is_not_missed() {
    let world = Arc::new(World::new(Options::default(), 1));
    let given = given(&world);
    declare_objects(&world);
    world.backend.set_specialize_delay(ms(100));
    let function = world.declare(configured(fixtures::function("hello")));
    let first = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(50)).await;
    world.declared.config_maps.apply(config_map("app", "two"));
    for request in first {
        request.await.unwrap().unwrap();
    }
    ask(&world, &function).await.unwrap();
    assert_eq!(modes(&given), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_secret_refuses_with_how_to_make_it_and_works_once_it_is_there() {
    let world = World::new(Options::default(), 1);
    world.declared.config_maps.apply(config_map("app", "one"));
    let function = world.declare(configured(fixtures::function("hello")));
    let refusal = ask(&world, &function).await.unwrap_err();
    assert_eq!((refusal.status, refusal.reason), (500, "specialization_failed"));
    assert!(refusal.message.contains("secret default/db does not exist"), "{refusal}");
    assert!(refusal.hint.unwrap().contains("kubectl create secret generic db"));
    world.declared.secrets.apply(secret("db"));
    ask(&world, &function).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_secret_declared_just_after_its_function_is_waited_for() {
    let world = Arc::new(World::new(Options::default(), 1));
    world.declared.config_maps.apply(config_map("app", "one"));
    let function = world.declare(configured(fixtures::function("hello")));
    let requests = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(50)).await;
    world.declared.secrets.apply(secret("db"));
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_goes_on_when_its_secret_is_deleted() {
    let world = World::new(Options::default(), 1);
    declare_objects(&world);
    let function = world.declare(configured(fixtures::function("hello")));
    let serving = ask(&world, &function).await.unwrap();
    world.declared.secrets.delete(&key("db"));
    tokio::time::sleep(ms(100)).await;
    assert!(!serving.lease.endpoint().is_closed());
    drop(serving);
    ask(&world, &function).await.unwrap();
    assert_eq!(specializations(&world), 1);
}
