//! What the router writes into the status of triggers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use fission_api::{FunctionReference, FunctionSpec, HTTPTriggerSpec};
use fission_rpc::cache::ObjectKey;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;

use crate::world::{World, to, until};

type Written = Arc<Mutex<Vec<(String, serde_json::Value)>>>;

/// An API server that notes every status written, and takes it.
fn api(written: Written) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let written = written.clone();
        async move {
            assert_eq!(request.method(), Method::PATCH);
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            written.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
            let answer = serde_json::json!({
                "apiVersion": "fission.io/v1", "kind": "HTTPTrigger", "metadata": { "name": "x" },
                "spec": { "functionref": { "type": "name", "name": "f" } },
            });
            Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&answer).unwrap())))
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test]
async fn triggers_are_told_whether_their_route_is_in_force_and_why() {
    let world = World::new().await;
    let written = Written::default();
    tokio::spawn(world.router.clone().report_conditions(api(written.clone())));
    world.function("default", "f", FunctionSpec::default());
    let url = |url: &str, function: &str| HTTPTriggerSpec { relative_url: url.into(), ..to(function) };
    world.trigger("good", url("/a", "f"));
    world.trigger("younger", url("/a", "f"));
    world.trigger("missing", url("/b", "none"));
    world.trigger("template", url("/{a", "f"));
    let functionref = FunctionReference { alias: "live".into(), ..FunctionReference::named("f") };
    world.trigger("alias", HTTPTriggerSpec { functionref, ..url("/c", "f") });
    world.settle().await;
    let reason = |name: &str| {
        let path = format!("/apis/fission.io/v1/namespaces/default/httptriggers/{name}/status");
        let written = written.lock().unwrap();
        let last = written.iter().rev().find(|(written, _)| *written == path)?.1.clone();
        let condition = last["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == "RouteAdmitted")?;
        Some((condition["status"].as_str()?.to_owned(), condition["reason"].as_str()?.to_owned()))
    };
    for (name, status, expected) in [
        ("good", "True", "RouteAdmitted"),
        ("younger", "False", "RouteConflict"),
        ("missing", "False", "FunctionNotFound"),
        ("template", "False", "InvalidRouteTemplate"),
        ("alias", "False", "FunctionNotFound"),
    ] {
        until(name, || reason(name) == Some((status.to_owned(), expected.to_owned()))).await;
    }
    world.function("default", "none", FunctionSpec::default());
    until("the function is found", || reason("missing").is_some_and(|(status, _)| status == "True")).await;
}

#[tokio::test]
async fn who_begins_to_write_judges_every_trigger_and_repeats_nothing() {
    let world = World::new().await;
    world.function("default", "f", FunctionSpec::default());
    world.trigger("early", HTTPTriggerSpec { relative_url: "/a".into(), ..to("f") });
    world.settle().await;
    let names = |written: &Written| {
        let written = written.lock().unwrap();
        let ours = written.iter().filter_map(|(path, _)| path.split("/default/httptriggers/").nth(1));
        ours.map(str::to_owned).collect::<Vec<_>>()
    };

    let written = Written::default();
    let first = tokio::spawn(world.router.clone().report_conditions(api(written.clone())));
    until("what was there before is judged", || names(&written) == ["early/status"]).await;
    first.abort();
    let _ = first.await;
    let of_early = |(path, _): &&(String, serde_json::Value)| path.ends_with("/default/httptriggers/early/status");
    let said = written.lock().unwrap().iter().find(of_early).unwrap().1["status"].clone();
    let key = ObjectKey { namespace: "default".into(), name: "early".into() };
    let mut early = (*world.sources.triggers.get(&key).unwrap()).clone();
    early.status = Some(serde_json::from_value(said).unwrap());
    world.sources.triggers.apply(early);
    // While nobody writes.
    world.trigger("late", HTTPTriggerSpec { relative_url: "/b".into(), ..to("f") });
    world.settle().await;

    let written = Written::default();
    tokio::spawn(world.router.clone().report_conditions(api(written.clone())));
    until("what is not said yet is written", || !names(&written).is_empty()).await;
    world.settle().await;
    let names = names(&written);
    assert!(names.iter().all(|name| name == "late/status"), "{names:?}");
}
