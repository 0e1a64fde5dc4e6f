//! Warm and cold calls, as they should go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fission_api::{FunctionReference, FunctionReferenceType, FunctionSpec, HTTPTriggerSpec};
use fission_router::Options;
use fission_rpc::refusal::{Component, Refusal};
use http::{HeaderMap, Method, Response};
use prometheus_client::registry::Registry;

use crate::world::{World, all_methods, ask, connect, get, read, request, to, until, whole};

#[tokio::test]
async fn a_route_answers_with_its_function_and_tells_where_the_time_went() {
    let world = World::new().await;
    let (_, endpoint) = world.hello("hello").await;
    let answer = get(world.public, "/hello").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
    let timing = answer.header("server-timing");
    for part in ["route;dur=", "admit;dur=", "wait;dur=", "specialize;dur=", "function;dur="] {
        assert!(timing.contains(part), "{timing}");
    }
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("vary"), "Origin");
    assert_eq!(answer.header("x-fission-request-id").len(), 36);
    until("the slot is free", || endpoint.in_flight() == 0).await;
    assert_eq!(world.executor.asked.load(Ordering::SeqCst), 0, "the warm path asks no one");
}

#[tokio::test]
async fn requests_share_the_connections_to_an_instance_on_each_thread() {
    for (threads, expected) in [(0, 1), (1, 1), (2, 2)] {
        let options = Options { threads, ..Options::default() };
        assert_eq!(connections_of_two_clients(options).await, expected, "{threads} threads");
    }
}

/// Connections to an instance after many requests of one client and one of another.
async fn connections_of_two_clients(options: Options) -> usize {
    let world = World::with(options, Vec::new()).await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    world.raw_instance(&function, "f", move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let service =
                hyper::service::service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(whole("ok"))) });
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        }
    });
    let mut client = connect(world.public).await;
    for _ in 0..20 {
        client.ready().await.unwrap();
        let answer = read(client.send_request(request(Method::GET, "/f")).await.unwrap()).await;
        assert_eq!(answer.text(), "ok");
    }
    assert_eq!(get(world.public, "/f").await.text(), "ok");
    connections.load(Ordering::SeqCst)
}

#[tokio::test]
async fn functions_get_their_headers_and_none_that_a_client_made_up() {
    let world = World::new().await;
    let function = world.function("default", "f", FunctionSpec::default());
    world.trigger("f", HTTPTriggerSpec { relative_url: "/users/{userId}".into(), ..to("f") });
    world.settle().await;
    let seen: Arc<Mutex<Option<(String, HeaderMap)>>> = Arc::default();
    let note = seen.clone();
    world.instance(&function, "f", move |request| {
        *note.lock().unwrap() = Some((request.uri().to_string(), request.headers().clone()));
        async {
            let mut response = Response::new(whole("ok"));
            response.headers_mut().insert("x-fission-route-miss", "1".parse().unwrap());
            response
        }
    });
    let mut asked = request(Method::GET, "/users/a%20b?q=1");
    for (name, value) in [
        ("x-fission-params-admin", "yes"),
        ("x-fission-function-name", "other"),
        ("x-fission-full-url", "/lie"),
        ("x-fission-request-id", "my-id-1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("connection", "x-secret"),
        ("x-secret", "1"),
        ("te", "trailers"),
    ] {
        asked.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = ask(world.public, asked).await;
    assert_eq!(answer.header("x-fission-request-id"), "my-id-1");
    assert!(!answer.headers.contains_key("x-fission-route-miss"));
    let (uri, headers) = seen.lock().unwrap().take().unwrap();
    assert_eq!(uri, "/?q=1", "a route without prefix always shows /");
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!(header("x-fission-function-uid"), "uid-default-f");
    assert_eq!(header("x-fission-function-name"), "f");
    assert_eq!(header("x-fission-function-namespace"), "default");
    assert_eq!(header("x-fission-function-resourceversion"), "7");
    assert_eq!(header("x-fission-full-url"), "/users/a%20b?q=1");
    assert_eq!(header("x-fission-params-userid"), "a b");
    assert_eq!(header("x-fission-request-id"), "my-id-1");
    assert_eq!(header("x-forwarded-for"), "10.0.0.1, 127.0.0.1");
    assert_eq!(header("x-forwarded-host"), "router.test");
    assert_eq!(header("forwarded"), "host=router.test;");
    assert_eq!(header("host"), "localhost");
    for name in ["x-fission-params-admin", "connection", "x-secret", "te"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn prefixes_are_taken_off_unless_they_are_kept() {
    let world = World::new().await;
    let function = world.function("default", "f", FunctionSpec::default());
    let prefix = |prefix: &str, keep_prefix| HTTPTriggerSpec { prefix: Some(prefix.into()), keep_prefix, ..to("f") };
    world.trigger("cut", prefix("/cut", false));
    world.trigger("keep", prefix("/keep", true));
    world.settle().await;
    world.instance(&function, "f", |request| async move { Response::new(whole(request.uri().to_string())) });
    for (asked, seen) in [
        ("/cut", "/"),
        ("/cut/", "/"),
        ("/cut/a/b?q=1", "/a/b?q=1"),
        ("/cut/a%2Fb", "/a%2Fb"),
        ("/c%75t/x", "/x"),
        ("/keep", "/keep"),
        ("/keep/a?q", "/keep/a?q"),
    ] {
        assert_eq!(get(world.public, asked).await.text(), seen, "{asked}");
    }
    assert_eq!(get(world.public, "/cutter").await.status, 404);
}

#[tokio::test]
async fn a_cold_request_waits_for_the_executor_and_its_refusal_explains_itself() {
    let world = World::new().await;
    let function = world.route("cold", "/cold", FunctionSpec::default()).await;
    let waiting = tokio::spawn({
        let public = world.public;
        async move { get(public, "/cold").await }
    });
    until("the executor is asked", || world.executor.asked.load(Ordering::SeqCst) == 1).await;
    world.instance(&function, "cold", |_| async { Response::new(whole("warm now")) });
    assert_eq!(waiting.await.unwrap().text(), "warm now");

    let refusal = Refusal::new(429, Component::Executor, "capacity_exceeded", "all 5 instances of cold are busy")
        .limit("spec.concurrency", 5, "fission function update --name cold --concurrency N");
    *world.executor.refuse.lock().unwrap() = Some(refusal);
    world.group(&function).remove(&fission_rpc::endpoint::InstanceId("cold".into()));
    let answer = get(world.public, "/cold").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-fission-component"), "executor");
    assert!(answer.headers.contains_key("server-timing"));
    let body = answer.json();
    assert_eq!(body["component"], "executor");
    assert_eq!(body["reason"], "capacity_exceeded");
    assert_eq!(body["requestId"], answer.header("x-fission-request-id"));
    assert_eq!(body["limit"]["name"], "spec.concurrency");
    assert_eq!(body["limit"]["value"], "5");
    assert!(body["limit"]["change"].as_str().unwrap().contains("--concurrency"));
}

#[tokio::test]
async fn three_hundred_concurrent_requests_to_a_busy_function_are_all_answered() {
    let world = World::new().await;
    let function = world.route("busy", "/busy", FunctionSpec::default()).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for id in 0..5 {
        let (now, most) = (now.clone(), most.clone());
        world.instance(&function, &format!("busy-{id}"), move |_| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Response::new(whole("done"))
            }
        });
    }
    let calls = (0..300).map(|_| get(world.public, "/busy"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "done"));
    }
    assert!(most.load(Ordering::SeqCst) <= 5, "one request per instance");
    until("nothing is in flight", || world.group(&function).demand().in_flight == 0).await;
}

#[tokio::test]
async fn weights_share_requests_between_functions() {
    let world = World::new().await;
    for name in ["old", "new"] {
        let function = world.function("default", name, FunctionSpec { requests_per_pod: 100, ..Default::default() });
        world.instance(&function, name, move |_| async move { Response::new(whole(name)) });
    }
    let weights = [("old".to_owned(), 80), ("new".to_owned(), 20)].into();
    let functionref = FunctionReference {
        kind: FunctionReferenceType::Weights,
        functionweights: Some(weights),
        ..FunctionReference::default()
    };
    let spec =
        HTTPTriggerSpec { relative_url: "/canary".into(), methods: all_methods(), functionref, ..Default::default() };
    world.trigger("canary", spec);
    world.settle().await;
    let answers = futures_util::future::join_all((0..300).map(|_| get(world.public, "/canary"))).await;
    let new = answers.iter().filter(|answer| answer.text() == "new").count();
    assert!((20..=110).contains(&new), "{new} of 300 went to the function with 20 of 100");
}

#[tokio::test]
async fn calls_are_counted_under_the_route_and_the_status() {
    let world = World::new().await;
    world.hello("counted").await;
    get(world.public, "/counted").await;
    get(world.public, "/counted").await;
    let mut registry = Registry::default();
    world.router.metrics(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = "fission_function_calls_total{function_namespace=\"default\",function_name=\"counted\",\
                function_version=\"\",path=\"/counted\",method=\"GET\",code=\"200\"} 2";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("fission_router_routes{listener=\"public\"} "), "{text}");
}
