//! Requests and responses, and which store serves them.

use std::time::Duration;

use bytes::Bytes;
use fission_api::labels::REQUESTS_PER_STORE;
use fission_executor::backend::Backend;
use fission_rpc::local::LocalBodyError;
use futures_util::StreamExt;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;

use crate::world::{World, request};

#[tokio::test]
async fn a_component_gets_the_whole_request_and_its_whole_response_is_passed_on() {
    // Without ticks it is done in one go, however slow the machine is.
    let world = World::with(|options| options.tick = Duration::from_secs(3600));
    let instance = world.load(json!({})).await.unwrap();
    let response = instance.send(request("POST", "/echo?a=1&b=%20", "the body")).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-answer"], "yes");
    assert!(response.body().size_hint().exact().is_some(), "its length is known when the component is done");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "POST /echo?a=1&b=%20 tested\nthe body");
    let other = instance.ask(request("PROPFIND", "/echo", "")).await.unwrap();
    assert_eq!(other, (201, "PROPFIND /echo tested\n".to_owned()));
}

#[tokio::test]
async fn a_body_that_comes_in_parts_arrives_whole_and_a_large_one_goes_back() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    let parts = futures_util::stream::iter(0..64).then(|number| async move {
        tokio::task::yield_now().await;
        Ok::<_, LocalBodyError>(Frame::data(Bytes::from(vec![b'a' + (number % 26) as u8; 10_000])))
    });
    let request = Request::post("/echo").header("host", "x").body(StreamBody::new(parts).boxed_unsync()).unwrap();
    let (status, text) = instance.ask(request).await.unwrap();
    assert_eq!((status, text.len()), (201, "POST /echo \n".len() + 640_000));
}

#[tokio::test]
async fn a_response_is_passed_on_while_it_is_made() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    let mut body = instance.send(request("GET", "/stream", "")).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
    assert_eq!(instance.get("/count").await, "2", "the store that streamed serves on");
}

#[tokio::test]
async fn requests_that_do_not_overlap_share_a_store_and_those_that_do_have_one_each() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    for expected in ["1", "2", "3"] {
        assert_eq!(instance.get("/count").await, expected);
    }
    let (slept, counted) = tokio::join!(instance.get("/sleep?50"), instance.get("/count"));
    assert_eq!((slept.as_str(), counted.as_str()), ("slept", "1"), "the first store was taken");
}

#[tokio::test]
async fn a_function_can_have_a_fresh_store_for_each_request_or_for_a_number_of_them() {
    let world = World::new();
    let fresh = world.load(json!({ "metadata": { "annotations": { REQUESTS_PER_STORE: "1" } } })).await.unwrap();
    assert_eq!([fresh.get("/count").await, fresh.get("/count").await], ["1", "1"]);
    let two = world.load(json!({ "metadata": { "annotations": { REQUESTS_PER_STORE: "2" } } })).await.unwrap();
    assert_eq!([two.get("/count").await, two.get("/count").await, two.get("/count").await], ["1", "2", "1"]);
}

#[tokio::test]
async fn what_is_printed_is_the_functions_log_with_the_request_it_was_printed_for() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    assert_eq!(world.lines.count(), 0);
    assert_eq!(instance.get("/print").await, "printed");
    for line in ["one", "two", "three", "and no end"] {
        let (owner, text) = world.lines.wait_for(line).await;
        assert_eq!(text, format!("\u{1e}the-id\u{1e}{line}"));
        let whose = (owner.namespace.as_str(), owner.function.as_str(), owner.environment.as_str());
        assert_eq!(whose, ("default", "f", "wasm"));
        assert_eq!(owner.instance, instance.id.to_string());
    }
}

#[tokio::test]
async fn a_component_that_prints_more_than_fits_waits_and_loses_nothing() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    assert_eq!(instance.get("/flood").await, "flooded");
    world.lines.wait_for("line 19999 of").await;
    assert_eq!(world.lines.count(), 20_000);
}

#[tokio::test]
async fn a_component_is_compiled_once_and_mapped_by_later_instances_and_later_processes() {
    let world = World::new();
    let compiled = |world: &World| {
        let files = world.files("cache/wasm");
        let mut seen: Vec<_> = files.iter().map(|path| std::fs::read(path).unwrap().len()).collect();
        seen.sort_unstable();
        seen
    };
    let before = compiled(&world);
    assert_eq!(before.len(), 1);
    world.load(json!({})).await.unwrap();
    world.load(json!({})).await.unwrap();
    assert_eq!(compiled(&world), before);
    let file = world.files("cache/wasm").remove(0);
    // In its place, not in it: it is mapped.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "not machine code").unwrap();
    let instance = World::at(fission_wasm::Options::new(world.data.path().to_owned()), tempfile::tempdir().unwrap());
    let instance = instance.load(json!({})).await.unwrap();
    assert_eq!(instance.get("/count").await, "1");
    assert_eq!(compiled(&world), before, "what cannot be used is compiled again");
}

#[tokio::test]
async fn ending_an_instance_lets_calls_finish_for_a_while_and_then_fails_them() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    let backend = world.backend.clone();
    let id = instance.id.clone();
    let end = tokio::spawn(async move { backend.destroy(&id, Duration::from_secs(30)).await });
    assert_eq!(instance.get("/sleep?50").await, "slept");
    end.await.unwrap();

    let instance = world.load(json!({})).await.unwrap();
    let call = instance.refusal("/sleep?60000");
    let (refusal, ()) = tokio::join!(call, world.backend.destroy(&instance.id, Duration::from_millis(20)));
    assert!(refusal.message.contains("was ended while it served"), "{}", refusal.message);
}
