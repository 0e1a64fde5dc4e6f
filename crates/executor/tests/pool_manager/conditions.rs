//! What is written to status, through a Kubernetes client whose server is a few lines here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;

use fission_executor::Options;
use fission_testkit::{World, eventually, fixtures};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

pub(super) type Objects = Arc<Mutex<HashMap<String, Value>>>;

/// Answers GET and PUT of objects by path; `/status` is the same object.
pub(super) fn client(objects: &Objects) -> kube::Client {
    let objects = objects.clone();
    let service = service_fn(move |request: Request<Body>| {
        let objects = objects.clone();
        async move {
            let path = request.uri().path().trim_end_matches("/status").to_owned();
            let put = request.method() == Method::PUT;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut objects = objects.lock().unwrap();
            if put {
                objects.insert(path.clone(), serde_json::from_slice(&body).unwrap());
            }
            let (status, answer) = match objects.get(&path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => (
                    StatusCode::NOT_FOUND,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                           "message": "not found", "code": 404}),
                ),
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    });
    kube::Client::new(service, "default")
}

fn ready(objects: &Objects, path: &str) -> Option<(String, String, String)> {
    let objects = objects.lock().unwrap();
    let condition = &objects.get(path)?["status"]["conditions"][0];
    let text = |field: &str| condition[field].as_str().map(str::to_owned);
    Some((text("status")?, text("reason")?, text("message")?))
}

#[tokio::test(start_paused = true)]
async fn a_function_is_ready_after_it_was_loaded_once() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(fixtures::function("hello"));
    let path = "/apis/fission.io/v1/namespaces/default/functions/hello";
    let objects: Objects = Arc::default();
    objects.lock().unwrap().insert(path.to_owned(), serde_json::to_value(&*function).unwrap());
    tokio::spawn(world.pool_manager.clone().report_conditions(client(&objects)));
    ask(&world, &function).await.unwrap();
    eventually("it is ready", || {
        ready(&objects, path).is_some_and(|ready| ready.0 == "True" && ready.1 == "Available")
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_cannot_run_says_so_until_it_can() {
    let world = World::new(Options::default(), 1);
    world.backend.set_unsupported(Some("Node.js is not installed"));
    let path = "/apis/fission.io/v1/namespaces/default/environments/nodejs";
    let objects: Objects = Arc::default();
    let environment = world.declared.environments.list()[0].clone();
    objects.lock().unwrap().insert(path.to_owned(), serde_json::to_value(&*environment).unwrap());
    tokio::spawn(world.pool_manager.clone().report_conditions(client(&objects)));
    eventually("it is not ready", || {
        ready(&objects, path).is_some_and(|(status, reason, message)| {
            status == "False" && reason == "Unsupported" && message.contains("Node.js is not installed")
        })
    })
    .await;
    world.backend.set_unsupported(None);
    let function = world.declare(fixtures::function("hello"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    ask(&world, &function).await.unwrap();
    eventually("it is ready", || ready(&objects, path).is_some_and(|ready| ready.0 == "True")).await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_wants_its_instances_shared_is_told_that_they_are_not() {
    let world = World::new(Options::default(), 1);
    let path = "/apis/fission.io/v1/namespaces/default/environments/nodejs";
    let objects: Objects = Arc::default();
    tokio::spawn(world.pool_manager.clone().report_conditions(client(&objects)));
    let declare = |mut environment: fission_api::Environment| {
        let mut objects = objects.lock().unwrap();
        let known = objects.get(path).map(|known| known["status"].clone()).unwrap_or_default();
        environment.status = serde_json::from_value(known).unwrap();
        objects.insert(path.to_owned(), serde_json::to_value(&environment).unwrap());
        world.declared.environments.apply(environment);
    };
    let mut environment = fixtures::next_generation(world.declared.environments.list()[0].as_ref().clone());
    environment.spec.allowed_functions_per_container = Some(fission_api::AllowedFunctions::Infinite);
    declare(environment.clone());
    let condition = || objects.lock().unwrap()[path]["status"]["conditions"][0].clone();
    eventually("it says so", || condition()["type"] == "SharedInstances" && condition()["status"] == "False").await;
    assert!(condition()["message"].as_str().unwrap().contains("instances of its own"));
    let (one, two) = (world.declare(fixtures::function("one")), world.declare(fixtures::function("two")));
    let (one, two) = (ask(&world, &one).await.unwrap(), ask(&world, &two).await.unwrap());
    assert_ne!(one.lease.endpoint().id, two.lease.endpoint().id);

    let mut single = fixtures::next_generation(environment);
    single.spec.allowed_functions_per_container = None;
    declare(single);
    eventually("nothing is said any more", || condition().is_null()).await;
}
