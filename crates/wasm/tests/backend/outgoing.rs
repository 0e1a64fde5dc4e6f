//! Requests of components: only to hosts that were named.

use std::net::SocketAddr;

use fission_api::labels::ALLOWED_HOSTS;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{Instance, World};

/// A server that answers every request with its own head.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = client.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let answer = format!("HTTP/1.1 203 X\r\nContent-Length: {read}\r\nConnection: close\r\n\r\n{head}");
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn allowing(world: &World, hosts: &str) -> Instance {
    world.load(json!({ "metadata": { "annotations": { ALLOWED_HOSTS: hosts } } })).await.unwrap()
}

#[tokio::test]
async fn a_function_that_names_nobody_may_call_nobody_and_its_log_says_how_to_change_that() {
    let world = World::new();
    let address = server().await;
    let instance = world.load(json!({})).await.unwrap();
    assert_eq!(instance.get(&format!("/fetch?http://{address}/")).await, "denied");
    let (_, line) = world.lines.wait_for("was denied").await;
    assert!(line.contains(&address.to_string()) && line.contains(ALLOWED_HOSTS), "{line}");
}

#[tokio::test]
async fn a_named_host_is_called_with_path_and_host_and_its_answer_comes_back() {
    let world = World::new();
    let address = server().await;
    let instance = allowing(&world, &format!("{address}, localhost:{}", address.port())).await;
    let answer = instance.get(&format!("/fetch?http://{address}/some/path")).await;
    assert!(answer.starts_with("203 GET /some/path HTTP/1.1\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains(&format!("host: {address}\r\n")), "{answer}");
    assert!(!answer.to_lowercase().contains("transfer-encoding"), "a GET without a body has none: {answer}");
    let by_name = instance.get(&format!("/fetch?http://localhost:{}/", address.port())).await;
    assert!(by_name.starts_with("203 GET / "), "{by_name}");
    let other_port = instance.get("/fetch?http://127.0.0.1:1/").await;
    assert_eq!(other_port, "denied");
}

#[tokio::test]
async fn a_list_of_hosts_that_cannot_be_read_is_refused_when_the_function_is_loaded() {
    let world = World::new();
    let loaded = world.load(json!({ "metadata": { "annotations": { ALLOWED_HOSTS: "*" } } })).await;
    let Err(error) = loaded else { panic!("it was loaded") };
    assert!(error.to_string().contains(ALLOWED_HOSTS), "{error}");
}

#[tokio::test]
async fn a_named_host_that_is_not_there_is_an_error_for_the_component() {
    let world = World::new();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let instance = allowing(&world, &address.to_string()).await;
    assert_eq!(instance.get(&format!("/fetch?http://{address}/")).await, "failed");
}
