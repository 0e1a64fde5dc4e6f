//! Commands for WASI preview 1: run once for each request, as CGI programs are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fission_executor::backend::BackendError;
use fission_executor::configuration::{Configuration, File, Root};
use fission_rpc::code::Code;
use http_body_util::BodyExt;
use serde_json::json;

use crate::world::{Instance, World, request};

async fn load(world: &World) -> Instance {
    load_with(world, Configuration::default()).await
}

async fn load_with(world: &World, configuration: Configuration) -> Instance {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command.wasm");
    let edit = |load: &mut fission_executor::backend::Load| {
        load.code = Code { path, digest: "command".to_owned() };
        load.configuration = configuration;
    };
    world.load_with(json!({}), edit).await.unwrap()
}

#[tokio::test]
async fn a_command_gets_a_request_as_a_cgi_program_does_and_its_output_is_the_response() {
    let world = World::new();
    let instance = load(&world).await;
    assert_eq!(instance.get("/").await, "Hello, world!");
    world.lines.wait_for("\u{1e}the-id\u{1e}it was called").await;
    let response = instance.send(request("POST", "/echo?a=1", "the body")).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-answer"]), (200, &"yes".parse().unwrap()));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "POST a=1 tested\nthe body");
    assert_eq!(instance.ask(request("GET", "/missing", "")).await.unwrap(), (404, "nothing here".to_owned()));
    assert_eq!(instance.get("/large").await.len(), 1 << 20);
    assert_eq!(instance.get("/done").await, "done", "an exit with 0 is a good end");
}

#[tokio::test]
async fn a_command_that_fails_explains_itself_and_a_part_is_never_the_whole() {
    let world = World::new();
    let instance = load(&world).await;
    for (target, said) in [("/exit", "code 3"), ("/panic", "panic"), ("/head", "no colon")] {
        let refusal = instance.refusal(target).await;
        assert!(refusal.message.contains(said) && refusal.status == 500, "{target}: {}", refusal.message);
    }
    world.lines.wait_for("the reason").await;
    let whole = match instance.send(request("GET", "/fails", "")).await {
        Ok(response) => response.into_body().collect().await.is_ok(),
        Err(_) => false,
    };
    assert!(!whole);
    let endless = tokio::time::timeout(Duration::from_millis(100), instance.ask(request("GET", "/loop", ""))).await;
    assert!(endless.is_err());
    assert_eq!(instance.get("/").await, "Hello, world!");
}

#[tokio::test]
async fn a_command_sees_its_configuration_and_nothing_else() {
    let world = World::new();
    let env = BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]);
    let file = File { root: Root::Secrets, path: "default/s/key".to_owned(), content: b"secret".to_vec() };
    let instance = load_with(&world, Configuration { files: vec![file], env }).await;
    assert_eq!(instance.get("/variable?GREETING").await, "hello");
    assert_eq!(instance.get("/variable?PATH").await, "");
    assert_eq!(instance.get("/file?/secrets/default/s/key").await, "Ok(\"secret\")");
    assert!(instance.get("/file?/etc/passwd").await.starts_with("Err"));
}

#[tokio::test]
async fn a_module_that_is_no_command_is_refused_with_what_to_build() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("module");
    std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
    let loaded = world.load_with(json!({}), |load| load.code = Code { path, digest: "module".to_owned() }).await;
    let Err(BackendError::Refused { message, .. }) = loaded else { panic!("it was loaded") };
    assert!(message.contains("_start") && message.contains("wasm32-wasip2"), "{message}");
}
