//! Every way to fail explains itself, and harms nobody else.

use std::path::Path;
use std::time::{Duration, Instant};

use fission_executor::backend::{Backend, BackendError};
use fission_rpc::code::Code;
use http_body_util::BodyExt;
use serde_json::json;

use crate::world::{World, request};

#[tokio::test]
async fn a_panic_is_explained_its_words_are_in_the_log_and_the_next_request_is_served() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    let refusal = instance.refusal("/panic").await;
    assert_eq!((refusal.status, refusal.reason), (500, "function_error"));
    assert!(refusal.message.contains("default/f") && refusal.message.contains("panic"), "{}", refusal.message);
    assert!(refusal.hint.unwrap().contains("fission function logs --name f"));
    world.lines.wait_for("the reason").await;
    world.lines.wait_for("[fission] function default/f stopped itself").await;
    world.lines.wait_for("wasm function").await;
    assert!(!world.lines.has("tokio"), "the platform's own frames are nobody's business");
    assert_eq!(instance.get("/count").await, "1", "in a store of its own");
}

#[tokio::test]
async fn running_out_of_memory_is_told_with_the_limit_that_decided() {
    let world = World::new();
    let instance = world.load(json!({ "spec": { "resources": { "limits": { "memory": "16Mi" } } } })).await.unwrap();
    assert_eq!(instance.get("/memory?4").await, "4 MiB");
    let refusal = instance.refusal("/memory?32").await;
    assert_eq!((refusal.status, refusal.reason), (500, "out_of_memory"));
    let limit = refusal.limit.unwrap();
    assert_eq!((limit.name.as_str(), limit.value.as_str()), ("spec.resources.limits.memory", "16 MiB"));
    let other = world.load(json!({})).await.unwrap();
    assert_eq!(other.get("/memory?32").await, "32 MiB", "128 MiB where nothing is declared");
    assert_eq!(other.refusal("/memory?128").await.reason, "out_of_memory");
}

#[tokio::test]
async fn a_component_that_needs_more_memory_than_its_limit_to_start_is_refused() {
    let world = World::new();
    let loaded = world.load(json!({ "spec": { "resources": { "limits": { "memory": "64Ki" } } } })).await;
    let Err(BackendError::Refused { message, .. }) = loaded else { panic!("it was loaded") };
    assert!(message.contains("ran out of memory") && message.contains("64 KiB"), "{message}");
}

#[tokio::test]
async fn recursion_without_end_an_exit_and_no_answer_are_each_told_as_what_they_are() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    for (target, said) in [("/deep", "too deep"), ("/exit", "exited with code"), ("/silent", "without answering")] {
        let refusal = instance.refusal(target).await;
        assert!(refusal.message.contains(said), "{target}: {}", refusal.message);
        assert_eq!(refusal.status, 500);
    }
    assert_eq!(instance.get("/").await, "Hello, world!\n");
}

#[tokio::test]
async fn a_component_that_computes_without_end_holds_up_nobody_and_ends_when_it_is_given_up() {
    // One thread: what is not yielded is missing to all others.
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    let limit = Duration::from_millis(300);
    let began = Instant::now();
    let endless = tokio::time::timeout(limit, instance.ask(request("GET", "/loop", "")));
    let others = async {
        let mut served = 0;
        while began.elapsed() < limit / 2 {
            instance.get("/").await;
            served += 1;
        }
        served
    };
    let (endless, served) = tokio::join!(endless, others);
    assert!(endless.is_err(), "it answered");
    assert!(served > 0);
    // A function that is given up is ended with everything it held.
    world.backend.destroy(&instance.id, Duration::ZERO).await;
}

#[tokio::test]
async fn a_response_that_breaks_off_is_an_error_and_never_a_whole_one() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    let body = instance.send(request("GET", "/breaks", "")).await.unwrap().into_body();
    let why = body.collect().await.unwrap_err().to_string();
    assert!(why.contains("stopped itself"), "{why}");
    world.lines.wait_for("broke in the middle").await;
}

#[tokio::test]
async fn more_stores_than_there_are_is_a_refusal_that_says_how_many() {
    let world = World::with(|options| options.max_stores = 2);
    let instance = world.load(json!({})).await.unwrap();
    let (a, b, c) = tokio::join!(
        instance.ask(request("GET", "/sleep?200", "")),
        instance.ask(request("GET", "/sleep?200", "")),
        instance.ask(request("GET", "/sleep?200", ""))
    );
    let refusals: Vec<_> = [a, b, c].into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!((refusals[0].status, refusals[0].reason), (503, "capacity_exceeded"));
    assert!(refusals[0].message.contains("2 are in use"), "{}", refusals[0].message);
}

#[tokio::test]
async fn code_that_is_no_component_is_refused_with_what_it_is_and_what_to_do() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    for (name, content, said) in [
        ("script", &b"#!/bin/sh\n"[..], "not WebAssembly"),
        ("broken", &b"\0asm\x0d\0\x01\0\xff\xff"[..], "no valid component"),
        ("empty", &b"\0asm\x0d\0\x01\0"[..], "does not export wasi:http/incoming-handler"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let loaded = world.load_with(json!({}), |load| load.code = Code { path, digest: name.to_owned() }).await;
        let Err(BackendError::Refused { message, .. }) = loaded else { panic!("{name} was loaded") };
        assert!(message.contains(said), "{name}: {message}");
    }
}

#[tokio::test]
async fn a_package_that_is_gone_is_no_fault_of_the_code() {
    let world = World::new();
    let gone = Code { path: Path::new("/nowhere/at/all").to_owned(), digest: "gone".to_owned() };
    let loaded = world.load_with(json!({}), |load| load.code = gone).await;
    assert!(matches!(loaded, Err(BackendError::Broken { .. })));
}
