//! What the router answers by itself.

use fission_api::{CorsConfig, FunctionSpec, HTTPTriggerSpec};
use fission_router::Options;
use http::{Method, Response};

use crate::world::{World, ask, get, request, to, until, until_async, whole};

#[tokio::test]
async fn a_path_without_a_route_is_a_404_that_says_what_was_looked_for() {
    let world = World::new().await;
    let answer = get(world.public, "/nowhere?x=1").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-fission-component")), (404, "router"));
    let body = answer.json();
    assert_eq!(body["reason"], "no_route");
    assert!(body["message"].as_str().unwrap().contains("GET /nowhere"), "{body}");
    assert!(body["hint"].as_str().unwrap().contains("fission route list"), "{body}");
    for header in ["server-timing", "x-fission-request-id", "x-content-type-options"] {
        assert!(answer.headers.contains_key(header), "{header}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_names_the_right_ones() {
    let world = World::new().await;
    world.function("default", "f", FunctionSpec::default());
    world.trigger("f", HTTPTriggerSpec { relative_url: "/f".into(), ..to("f") });
    world.settle().await;
    let answer = ask(world.public, request(Method::DELETE, "/f")).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET"));
    assert_eq!(answer.json()["reason"], "method_not_allowed");
}

#[tokio::test]
async fn a_route_is_in_force_as_soon_as_its_function_exists_and_no_longer() {
    let world = World::new().await;
    world.trigger("late", HTTPTriggerSpec { relative_url: "/late".into(), ..to("late") });
    world.settle().await;
    assert_eq!(get(world.public, "/late").await.status, 404);
    let function = world.function("default", "late", FunctionSpec::default());
    world.instance(&function, "late", |_| async { Response::new(whole("here")) });
    world.settle().await;
    assert_eq!(get(world.public, "/late").await.text(), "here");
    world.sources.functions.delete(&fission_rpc::cache::ObjectKey { namespace: "default".into(), name: "late".into() });
    world.settle().await;
    assert_eq!(get(world.public, "/late").await.status, 404);
}

#[tokio::test]
async fn the_routers_own_paths_answer_and_no_trigger_can_take_them() {
    let world = World::unsynced(Options::default(), Vec::new()).await;
    assert_eq!(get(world.public, "/router-healthz").await.status, 200);
    assert_eq!(get(world.public, "/readyz").await.status, 503);
    world.sources.functions.replace_all(Default::default());
    world.sources.triggers.replace_all(Default::default());
    until("the router is ready", || world.router.is_ready()).await;
    let function = world.function("default", "f", FunctionSpec::default());
    world.instance(&function, "f", |_| async { Response::new(whole("taken")) });
    world.trigger("any", HTTPTriggerSpec { relative_url: "/{any}".into(), ..to("f") });
    until_async("the trigger takes what it can", async || get(world.public, "/x").await.status == 200).await;
    assert_eq!(get(world.public, "/x").await.text(), "taken");
    assert_eq!(get(world.public, "/readyz").await.text(), "");
    let version = get(world.public, "/_version").await;
    assert_eq!(version.json()["Build"]["Version"], "1.2.3");
    assert!(version.json()["ServerTime"]["CurrentTime"].is_string());
    let root = get(world.public, "/").await;
    assert_eq!((root.status.as_u16(), root.text()), (200, ""));
    assert_eq!(ask(world.public, request(Method::POST, "/")).await.status, 404);
    assert_eq!(get(world.public, "/fission-function/f").await.status, 404);
}

#[tokio::test]
async fn preflight_requests_are_answered_by_the_rules_of_the_route() {
    let world = World::new().await;
    let function = world.function("default", "f", FunctionSpec::default());
    world.instance(&function, "f", |_| async { Response::new(whole("actual")) });
    let cors = CorsConfig { allow_origins: vec!["https://a.example".into()], ..CorsConfig::default() };
    world.trigger("f", HTTPTriggerSpec { relative_url: "/f".into(), cors_config: Some(cors), ..to("f") });
    world.settle().await;
    let preflight = |origin: &str| {
        let mut asked = request(Method::OPTIONS, "/f");
        asked.headers_mut().insert("origin", origin.parse().unwrap());
        asked.headers_mut().insert("access-control-request-method", "GET".parse().unwrap());
        ask(world.public, asked)
    };
    let allowed = preflight("https://a.example").await;
    assert_eq!((allowed.status.as_u16(), allowed.header("access-control-allow-origin")), (204, "https://a.example"));
    assert_eq!(allowed.header("access-control-allow-methods"), "GET");
    assert_eq!(preflight("https://b.example").await.status, 403);
    let mut actual = request(Method::GET, "/f");
    actual.headers_mut().insert("origin", "https://a.example".parse().unwrap());
    let answer = ask(world.public, actual).await;
    assert_eq!((answer.text(), answer.header("access-control-allow-origin")), ("actual", "https://a.example"));
}

#[tokio::test]
async fn hosts_are_matched_without_port_and_case() {
    let world = World::new().await;
    for name in ["any", "special"] {
        let function = world.function("default", name, FunctionSpec::default());
        world.instance(&function, name, move |_| async move { Response::new(whole(name)) });
    }
    world.trigger("any", HTTPTriggerSpec { relative_url: "/h".into(), ..to("any") });
    world
        .trigger("special", HTTPTriggerSpec { relative_url: "/h".into(), host: "api.example".into(), ..to("special") });
    world.settle().await;
    for (host, expected) in [("API.example:8888", "special"), ("other.example", "any"), ("api.example", "special")] {
        let mut asked = request(Method::GET, "/h");
        asked.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(ask(world.public, asked).await.text(), expected, "{host}");
    }
}

#[tokio::test]
async fn calls_that_ask_for_a_queue_are_refused_as_long_as_there_is_none() {
    let world = World::new().await;
    world.hello("f").await;
    let spec = HTTPTriggerSpec { relative_url: "/queued".into(), invocation_mode: "async".into(), ..to("f") };
    world.trigger("queued", spec);
    world.settle().await;
    let mut asked = request(Method::GET, "/f");
    asked.headers_mut().insert("x-fission-invoke-mode", "async".parse().unwrap());
    for answer in [ask(world.public, asked).await, get(world.public, "/queued").await] {
        assert_eq!((answer.status.as_u16(), answer.header("x-fission-component")), (501, "router"));
        assert_eq!(answer.json()["reason"], "async_unavailable");
    }
}
