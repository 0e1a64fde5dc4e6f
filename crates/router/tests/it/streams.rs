//! Bodies that go on, both ways.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use fission_api::FunctionSpec;
use fission_api::function_options::StreamingConfig;
use fission_rpc::endpoint::Endpoint;
use futures_util::StreamExt;
use http::{Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::world::{AnyBody, World, connect, request, until, whole};

/// A body that sends what is put into the sender.
fn channel() -> (mpsc::Sender<Bytes>, AnyBody) {
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, std::io::Error>(Frame::data(bytes)), receiver))
    });
    (sender, StreamBody::new(frames.boxed()).boxed_unsync())
}

/// A function that answers each piece of the request as it comes.
async fn echo(world: &World, spec: FunctionSpec) -> std::sync::Arc<Endpoint> {
    let function = world.route("echo", "/echo", spec).await;
    world.instance(&function, "echo", |request| async move {
        let body = request.into_body().map_err(std::io::Error::other);
        Response::new(body.boxed_unsync())
    })
}

#[tokio::test]
async fn pieces_go_both_ways_while_the_request_is_still_being_sent() {
    let world = World::new().await;
    let endpoint = echo(&world, FunctionSpec::default()).await;
    let (sender, body) = channel();
    let mut asked = request(Method::POST, "/echo");
    *asked.body_mut() = body;
    sender.send("one".into()).await.unwrap();
    let response = connect(world.public).await.send_request(asked).await.unwrap();
    let mut body = response.into_body();
    let mut next = async || body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
    assert_eq!(next().await.as_deref(), Some(&b"one"[..]));
    for piece in ["two", "three"] {
        sender.send(piece.into()).await.unwrap();
        assert_eq!(next().await.as_deref(), Some(piece.as_bytes()));
    }
    assert_eq!(endpoint.in_flight(), 1, "the slot is held until the body ends");
    drop(sender);
    assert_eq!(next().await, None);
    until("the slot is free", || endpoint.in_flight() == 0).await;
}

#[tokio::test]
async fn events_reach_the_client_one_by_one() {
    let world = World::new().await;
    let function = world.route("sse", "/sse", FunctionSpec::default()).await;
    let (sender, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let body = std::sync::Arc::new(body);
    world.instance(&function, "sse", move |_| {
        let mut response = Response::new(body.lock().unwrap().take().unwrap());
        response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        async move { response }
    });
    let response = connect(world.public).await.send_request(request(Method::GET, "/sse")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(event.into()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), event);
    }
}

#[tokio::test]
async fn a_hundred_megabytes_pass_through_without_being_held() {
    let world = World::new().await;
    let spec = FunctionSpec { function_timeout: 300, ..FunctionSpec::default() };
    echo(&world, spec).await;
    const PIECE: usize = 1024 * 1024;
    let (sender, body) = channel();
    let mut asked = request(Method::POST, "/echo");
    *asked.body_mut() = body;
    let before = resident_kilobytes();
    tokio::spawn(async move {
        for _ in 0..100 {
            if sender.send(Bytes::from(vec![7; PIECE])).await.is_err() {
                return;
            }
        }
    });
    let mut body = connect(world.public).await.send_request(asked).await.unwrap().into_body();
    let (mut received, mut most) = (0, 0);
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
        most = most.max(resident_kilobytes());
    }
    assert_eq!(received, 100 * PIECE);
    let grown = most.saturating_sub(before);
    // Other tests of this process run meanwhile; the whole body would be twice this.
    assert!(grown < 50 * 1024, "grew by {grown} KiB");
}

fn resident_kilobytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_streaming_function_may_take_longer_than_its_timeout_but_not_be_silent() {
    let world = World::new().await;
    let streaming = StreamingConfig { idle_timeout_seconds: 1, ..StreamingConfig::default() };
    let spec = FunctionSpec { function_timeout: 1, streaming: Some(streaming), ..FunctionSpec::default() };
    let endpoint = echo(&world, spec).await;
    let (sender, body) = channel();
    let mut asked = request(Method::POST, "/echo");
    *asked.body_mut() = body;
    let mut body = connect(world.public).await.send_request(asked).await.unwrap().into_body();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        sender.send("still here".into()).await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert!(body.frame().await.unwrap().is_err(), "silence ends it");
    until("the slot is free", || endpoint.in_flight() == 0).await;
}

#[tokio::test]
async fn a_function_that_answers_in_time_but_does_not_finish_is_cut_off() {
    let world = World::new().await;
    let endpoint = echo(&world, FunctionSpec { function_timeout: 1, ..FunctionSpec::default() }).await;
    let (sender, body) = channel();
    let mut asked = request(Method::POST, "/echo");
    *asked.body_mut() = body;
    sender.send("begun".into()).await.unwrap();
    let response = connect(world.public).await.send_request(asked).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err());
    until("the slot is free", || endpoint.in_flight() == 0).await;
}

#[tokio::test]
async fn websockets_are_tunnels_that_hold_their_slot_until_they_close() {
    let world = World::new().await;
    let function = world.route("ws", "/ws", FunctionSpec::default()).await;
    let endpoint = world.instance(&function, "ws", |mut request| async move {
        let key = request.headers()["sec-websocket-key"].clone();
        tokio::spawn(async move {
            let Ok(upgraded) = hyper::upgrade::on(&mut request).await else { return };
            let mut stream = hyper_util::rt::TokioIo::new(upgraded);
            let mut space = [0; 64];
            while let Ok(count) = stream.read(&mut space).await {
                if count == 0 || stream.write_all(&space[..count]).await.is_err() {
                    return;
                }
            }
        });
        let mut response = Response::new(whole(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [("connection", "Upgrade"), ("upgrade", "websocket")] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response.headers_mut().insert("sec-websocket-accept", key);
        response
    });
    let mut client = TcpStream::connect(world.public).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-key: abc\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    for header in ["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: abc", "server-timing: "] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
    for message in [&b"ping"[..], b"\x00\x01binary"] {
        client.write_all(message).await.unwrap();
        let mut echoed = vec![0; message.len()];
        client.read_exact(&mut echoed).await.unwrap();
        assert_eq!(echoed, message);
    }
    assert_eq!(endpoint.in_flight(), 1);
    drop(client);
    until("the slot is free", || endpoint.in_flight() == 0).await;
}

#[tokio::test]
async fn http2_clients_without_tls_are_served() {
    let world = World::new().await;
    world.hello("h2").await;
    let stream = TcpStream::connect(world.public).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Empty::<Bytes>::new().map_err(|never: Infallible| match never {});
    let asked = http::Request::builder().uri(format!("http://{}/h2", world.public)).body(body).unwrap();
    let response = sender.send_request(asked).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}
