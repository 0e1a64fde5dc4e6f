//! What only the python-fastapi environment does.

use tokio::io::AsyncWriteExt;

use crate::world::{FASTAPI, Server, read_until};

#[tokio::test]
async fn what_fastapi_can_serialise_comes_back_as_json_and_its_exceptions_as_their_status() {
    let server = Server::with(FASTAPI, &FASTAPI.file("model.py"), "").await;
    let answer = server.get("/").await;
    assert_eq!(answer.text(), r#"{"name":"Ada","day":"1815-12-10"}"#);
    let answer = server.get("/?missing=1").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, r#"{"detail":"no such thing"}"#));
}

#[tokio::test]
async fn a_function_of_websockets_talks_over_one() {
    let server = Server::with(FASTAPI, &FASTAPI.file("websocket.py"), "").await;
    let mut stream = server.connect().await;
    let head = "GET /chat HTTP/1.1\r\nHost: f\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let seen = read_until(&mut stream, "hello /chat").await;
    assert!(seen.contains("101 Switching Protocols"), "{seen}");
}
