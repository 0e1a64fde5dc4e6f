//! What only the nodejs environment does.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{NODEJS, Server, read_until, request};

/// Code as the platform hands a single file over: without its name.
fn unnamed(source: PathBuf, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("deployarchive");
    std::fs::copy(source, &path).unwrap();
    path
}

#[tokio::test]
async fn a_single_file_without_extension_may_be_a_module_or_a_script() {
    for (file, expected) in [("module", "esm without extension"), ("script", "cjs without extension")] {
        for load_esm in ["true", "false"] {
            let folder = tempfile::tempdir().unwrap();
            let server = Server::start_with(NODEJS, &[("LOAD_ESM", load_esm)]).await;
            let code = unnamed(NODEJS.file(&format!("forms/{file}")), &folder);
            let loaded = server.specialize(&code, "").await;
            assert!(loaded.status.is_success(), "{file}, LOAD_ESM={load_esm}: {}", loaded.text());
            assert_eq!(server.get("/").await.text(), expected, "LOAD_ESM={load_esm}");
        }
    }
}

#[tokio::test]
async fn a_function_may_call_back_instead_of_returning() {
    let server = Server::with(NODEJS, &NODEJS.file("forms/callback.js"), "").await;
    let answer = server.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, "called back"));
    assert_eq!(answer.headers["x-answer"], "yes");
}

#[tokio::test]
async fn a_function_may_answer_through_the_express_response() {
    let server = Server::with(NODEJS, &NODEJS.file("forms/response.js"), "").await;
    let answer = server.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (203, r#"{"by":"express"}"#));
}

#[tokio::test]
async fn a_function_that_returns_nothing_is_told_so_instead_of_hanging() {
    let server = Server::with(NODEJS, &NODEJS.file("forms/nothing.js"), "").await;
    let answer = server.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "Internal server error"));
    assert!(server.log("stderr").contains("returned nothing"), "{}", server.log("stderr"));
}

#[tokio::test]
async fn packages_of_the_server_can_be_required_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(NODEJS, &unnamed(NODEJS.file("forms/shipped.js"), &folder), "").await;
    assert_eq!(server.get("/").await.text(), "function");
    let server = Server::with(NODEJS, &NODEJS.file("esm"), "").await;
    assert_eq!(server.get("/").await.text(), "esm function function");
}

#[tokio::test]
async fn a_module_that_exports_no_function_is_refused() {
    let server = Server::start(NODEJS).await;
    let answer = server.specialize(&NODEJS.file("forms/number.js"), "").await;
    assert!(answer.status == 500 && answer.text().contains("does not export a function"), "{}", answer.text());
}

#[tokio::test]
async fn bodies_are_parsed_by_content_type() {
    let server = Server::with(NODEJS, &NODEJS.function("echo"), "").await;
    for (kind, sent, parsed) in [
        ("application/json", r#"{"a": 1}"#, r#"{"a":1}"#),
        ("application/x-www-form-urlencoded", "a=1&b=two", r#"{"a":"1","b":"two"}"#),
        ("text/plain", "as it is", "as it is"),
        ("image/png", "left in the stream", "left in the stream"),
    ] {
        let answer = server.send(request("POST", "/").header("content-type", kind), sent).await;
        let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(seen["body"], parsed, "{kind}");
    }
    let broken = server.send(request("POST", "/").header("content-type", "application/json"), "{").await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    let large = server.send(request("POST", "/").header("content-type", "text/plain"), vec![b'x'; 2 << 20]).await;
    assert_eq!(large.status, 413, "{}", large.text());
}

#[tokio::test]
async fn a_websocket_on_any_path_reaches_the_function() {
    let server = Server::with(NODEJS, &NODEJS.file("forms/websocket.js"), "").await;
    let mut stream = server.connect().await;
    let upgrade = "GET /any/path HTTP/1.1\r\nHost: f\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // A text frame "hi", masked with zeroes.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut frame = [0; 6];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x041 hi");
}

#[tokio::test]
async fn an_upgrade_before_the_function_is_there_is_refused() {
    let server = Server::start(NODEJS).await;
    let mut stream = server.connect().await;
    let upgrade = "GET / HTTP/1.1\r\nHost: f\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "no requests supported").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
}
