//! What a component sees: what it was given, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use fission_executor::backend::Backend;
use fission_executor::configuration::{Configuration, File, Root};
use fission_rpc::code::Code;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn variables_of_function_and_environment_are_there_and_the_platforms_are_not() {
    let world = World::new();
    let env = BTreeMap::from([("GREETING".to_owned(), "Grüße".to_owned())]);
    let configuration = Configuration { env, ..Configuration::default() };
    let instance = world.load_with(json!({}), |load| load.configuration = configuration).await.unwrap();
    assert_eq!(instance.get("/variable?GREETING").await, "Ok(\"Grüße\")");
    assert_eq!(instance.get("/variable?OF_ENVIRONMENT").await, "Ok(\"yes\")");
    assert_eq!(instance.get("/variable?PATH").await, "Err(NotPresent)");
}

#[tokio::test]
async fn secrets_and_config_maps_are_files_that_can_be_read_and_not_written() {
    let world = World::new();
    let file = |root, content: &str| File { root, path: "default/it/key".to_owned(), content: content.into() };
    let files = vec![file(Root::Secrets, "secret"), file(Root::Configs, "config")];
    let configuration = Configuration { files, ..Configuration::default() };
    let instance = world.load_with(json!({}), |load| load.configuration = configuration).await.unwrap();
    assert_eq!(instance.get("/file?/secrets/default/it/key").await, "Ok(\"secret\")");
    assert_eq!(instance.get("/file?/configs/default/it/key").await, "Ok(\"config\")");
    for target in ["/write?/secrets/default/it/key", "/write?/secrets/new"] {
        assert!(instance.get(target).await.starts_with("Err"), "{target}");
    }
    for target in ["/file?/secrets/../../../../etc/passwd", "/file?/etc/passwd"] {
        assert!(instance.get(target).await.starts_with("Err"), "{target}");
    }
    assert_eq!(world.files("wasm").len(), 2);
    world.backend.destroy(&instance.id, Duration::ZERO).await;
    drop(instance);
    assert_eq!(world.files("wasm").len(), 0, "they go with the instance");
}

#[tokio::test]
async fn a_function_without_configuration_sees_no_files() {
    let world = World::new();
    let instance = world.load(json!({})).await.unwrap();
    for target in ["/file?/etc/passwd", "/file?/secrets/x", "/file?Cargo.toml"] {
        assert!(instance.get(target).await.starts_with("Err"), "{target}");
    }
}

#[tokio::test]
async fn a_component_reads_the_files_of_its_package_and_the_entry_point_chooses_it() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture.wasm");
    std::fs::copy(fixture, folder.path().join("main.wasm")).unwrap();
    std::fs::write(folder.path().join("other.wasm"), "").unwrap();
    std::fs::write(folder.path().join("page.html"), "<p>").unwrap();
    let code = Code { path: folder.path().to_owned(), digest: "folder".to_owned() };
    let named = json!({ "spec": { "package": { "functionName": "main" } } });
    let instance = world.load_with(named, |load| load.code = code).await.unwrap();
    assert_eq!(instance.get("/file?/userfunc/deployarchive/page.html").await, "Ok(\"<p>\")");
    assert!(instance.get("/write?/userfunc/deployarchive/page.html").await.starts_with("Err"));
    assert_eq!(std::fs::read(folder.path().join("page.html")).unwrap(), b"<p>");
}

#[tokio::test]
async fn a_component_opens_no_sockets() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let instance = world.load(json!({})).await.unwrap();
    assert_eq!(instance.get(&format!("/connect?{port}")).await, "no socket");
    let connected = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(connected.is_err(), "it connected");
}
