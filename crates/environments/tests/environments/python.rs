//! What only the python environment does.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::world::{PYTHON, Server, read_until, request};

#[tokio::test]
async fn a_named_function_of_a_single_file_is_called() {
    let server = Server::with(PYTHON, &PYTHON.file("other.py"), "user.other").await;
    assert_eq!(server.get("/").await.text(), "other");
}

#[tokio::test]
async fn a_function_may_be_asynchronous_and_return_what_flask_takes() {
    let server = Server::with(PYTHON, &PYTHON.file("asynchronous.py"), "").await;
    let answer = server.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().trim()), (202, r#"{"by":"asyncio"}"#));
}

#[tokio::test]
async fn abort_becomes_its_status() {
    let server = Server::with(PYTHON, &PYTHON.file("aborts.py"), "").await;
    assert_eq!(server.get("/").await.status, 418);
}

#[tokio::test]
async fn a_module_without_the_function_is_refused_with_what_it_has() {
    let server = Server::start(PYTHON).await;
    let answer = server.specialize(&PYTHON.file("other.py"), "").await;
    assert!(answer.text().contains("no function main; it has other"), "{}", answer.text());
}

const UPGRADE: &str = "GET /any/path HTTP/1.1\r\nHost: f\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       X-Fission-Request-ID: request-1\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A WebSocket to the function that says hello and repeats what it hears.
async fn open_websocket(server: &Server) -> UnixStream {
    let mut stream = server.connect().await;
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn frame(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let (kind, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
    let mut payload = vec![0; length.into()];
    stream.read_exact(&mut payload).await.unwrap();
    (kind, payload)
}

#[tokio::test]
async fn a_websocket_on_any_path_reaches_the_function_and_its_lines_carry_the_request() {
    let server = Server::with(PYTHON, &PYTHON.file("websocket.py"), "").await;
    let mut stream = open_websocket(&server).await;
    assert_eq!(frame(&mut stream).await, (0x81, b"hello /any/path 1".to_vec()));
    // A text frame "hi", masked with zeroes.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    assert_eq!(frame(&mut stream).await, (0x81, b"hi".to_vec()));
    crate::world::eventually("its line", || server.log("stdout").contains("\x1erequest-1\x1eopened")).await;
}

#[tokio::test]
async fn a_message_over_the_limit_closes_the_websocket() {
    let server = Server::with(PYTHON, &PYTHON.file("websocket.py"), "").await;
    let mut stream = open_websocket(&server).await;
    frame(&mut stream).await;
    let mut large = vec![0x82, 0x80 | 127];
    large.extend(((1u64 << 20) + 1).to_be_bytes());
    large.extend([0; 4]);
    stream.write_all(&large).await.unwrap();
    let (kind, payload) = frame(&mut stream).await;
    assert_eq!((kind, &payload[..2]), (0x88, &1009u16.to_be_bytes()[..]));
}

#[tokio::test]
async fn open_websockets_are_told_when_the_server_ends() {
    let mut server = Server::with(PYTHON, &PYTHON.file("websocket.py"), "").await;
    let mut stream = open_websocket(&server).await;
    frame(&mut stream).await;
    server.terminate();
    let (kind, payload) = frame(&mut stream).await;
    assert_eq!((kind, &payload[..2]), (0x88, &1001u16.to_be_bytes()[..]));
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, payload[0], payload[1]]).await.unwrap();
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn requests_that_do_not_fit_the_function_are_told_what_it_takes() {
    let server = Server::with(PYTHON, &PYTHON.file("websocket.py"), "").await;
    let answer = server.get("/").await;
    assert!(answer.status == 400 && answer.text().contains("WebSockets only"), "{}", answer.text());
    let plain = Server::with(PYTHON, &PYTHON.function("echo"), "").await;
    let mut stream = plain.connect().await;
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "takes no WebSockets").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(plain.send(request("GET", "/"), "").await.status, 201, "and it serves on");
}
