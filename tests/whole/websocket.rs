//! WebSockets are tunnels from the client to the function. Spoken by hand: the handshake and short frames are all it takes.

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::world::{Platform, eventually};

/// The example key of RFC 6455 and the answer it requires.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client's text frame of less than 126 bytes. Clients must mask; a mask of zeros changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Opens a WebSocket and gives the head of the answer.
async fn connect(platform: &Platform, path: &str) -> (BufReader<TcpStream>, String) {
    let address = platform.router.trim_start_matches("http://");
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    (stream, String::from_utf8(head).unwrap())
}

/// The next short text message from the function; other frames, such as pings, are passed over.
async fn message(stream: &mut BufReader<TcpStream>) -> String {
    loop {
        let (kind, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
        let mut payload = vec![0; usize::from(length & 0x7f)];
        stream.read_exact(&mut payload).await.unwrap();
        if kind == 0x81 {
            return String::from_utf8(payload).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_speaks_with_a_function_through_the_router() {
    let platform = Platform::start();
    let source = "module.exports = (ws, clients) => { ws.on('message', (text) => ws.send('echo ' + text)); };";
    platform.deploy("fission/node-env", "talk", "talk.js", source);
    eventually("the route is served", || async {
        let request = platform.http().put(format!("{}/talk", platform.router)).send().await;
        request.unwrap().status() == 405
    })
    .await;
    let (mut stream, head) = connect(&platform, "/talk").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains(ACCEPT), "{head}");
    for text in ["one", "two", "three"] {
        stream.write_all(&frame(text)).await.unwrap();
        assert_eq!(message(&mut stream).await, format!("echo {text}"));
    }
    drop(stream);

    let (_, refused) = connect(&platform, "/nothing").await;
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
}
