//! Functions and clients that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fission_api::FunctionSpec;
use fission_router::Options;
use http::{Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::Notify;

use crate::world::{World, ask, connect, get, request, until, whole};

async fn read_head(stream: &mut tokio::net::UnixStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
}

#[tokio::test]
async fn a_function_that_answers_too_late_is_a_504_that_names_the_limit() {
    let world = World::new().await;
    let spec = FunctionSpec { function_timeout: 1, ..FunctionSpec::default() };
    let function = world.route("slow", "/slow", spec).await;
    let endpoint = world.instance(&function, "slow", |_| std::future::pending());
    let answer = get(world.public, "/slow").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-fission-component"), "timeout");
    let body = answer.json();
    assert_eq!(body["reason"], "function_timeout");
    assert_eq!(body["limit"]["name"], "spec.functionTimeout");
    assert_eq!(body["limit"]["value"], "1s");
    until("the slot is free", || endpoint.in_flight() == 0).await;
}

#[tokio::test]
async fn garbage_instead_of_http_is_the_functions_error() {
    let world = World::new().await;
    let function = world.route("garbage", "/garbage", FunctionSpec::default()).await;
    world.raw_instance(&function, "garbage", |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"\x00\x01 this is not http\r\n\r\n").await;
    });
    let answer = get(world.public, "/garbage").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-fission-component")), (500, "function"));
    assert_eq!(answer.json()["reason"], "function_error");
    assert!(answer.json()["message"].as_str().unwrap().contains("not HTTP"), "{}", answer.text());
    assert_eq!(world.executor.suspected.lock().unwrap().len(), 1, "the instance is looked at");
}

#[tokio::test]
async fn a_request_that_may_have_reached_a_function_is_never_sent_again() {
    let world = World::new().await;
    let function = world.route("crash", "/crash", FunctionSpec::default()).await;
    let reached = Arc::new(AtomicUsize::new(0));
    for id in ["crash-1", "crash-2"] {
        let reached = reached.clone();
        world.raw_instance(&function, id, move |mut stream| {
            let reached = reached.clone();
            async move {
                read_head(&mut stream).await;
                reached.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let answer = get(world.public, "/crash").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-fission-component")), (500, "function"));
    assert_eq!(answer.json()["reason"], "function_error");
    assert_eq!(reached.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_reached_no_one_goes_to_another_instance() {
    let world = World::new().await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    // A socket no one listens on any more, as a killed instance leaves it.
    let dead = world.socket("dead");
    drop(UnixListener::bind(&dead).unwrap());
    world.endpoint(&function, "dead", dead);
    world.instance(&function, "alive", |_| async { Response::new(whole("alive")) });
    let mut asked = request(Method::POST, "/f");
    *asked.body_mut() = whole("a body that is sent only once");
    let answer = ask(world.public, asked).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "alive"));
    assert_eq!(&*world.executor.suspected.lock().unwrap()[0].0, "dead");
}

#[tokio::test]
async fn tries_are_limited_and_the_refusal_says_that_no_instance_takes_connections() {
    let world = World::new().await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    for id in ["a", "b", "c", "d"] {
        world.endpoint(&function, id, world.socket(id));
    }
    let answer = get(world.public, "/f").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-fission-component")), (500, "function"));
    assert_eq!(answer.json()["reason"], "connection_refused");
    assert_eq!(world.executor.suspected.lock().unwrap().len(), Options::default().max_tries);
}

#[tokio::test]
async fn an_idle_connection_the_function_closed_is_replaced_without_anyone_noticing() {
    let world = World::new().await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    world.raw_instance(&function, "f", move |mut stream| {
        let counted = counted.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            drop(stream);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    for count in 1..=3 {
        let mut asked = request(Method::POST, "/f");
        *asked.body_mut() = whole("body");
        let answer = ask(world.public, asked).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "ok"));
        until("the function has closed", || connections.load(Ordering::SeqCst) == count).await;
    }
    assert!(world.executor.suspected.lock().unwrap().is_empty(), "closing an idle connection is no fault");
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client_too() {
    let world = World::new().await;
    let function = world.route("half", "/half", FunctionSpec::default()).await;
    let close = Arc::new(Notify::new());
    let closing = close.clone();
    let endpoint = world.raw_instance(&function, "half", move |mut stream| {
        let closing = closing.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await;
            closing.notified().await;
        }
    });
    let response = connect(world.public).await.send_request(request(Method::GET, "/half")).await.unwrap();
    assert_eq!(response.status(), 200);
    close.notify_one();
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    assert!(body.is_err(), "a part must not be taken for the whole");
    until("the slot is free", || endpoint.in_flight() == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_slot_and_the_function_hears_of_it() {
    let world = World::new().await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    let told = Arc::new(AtomicUsize::new(0));
    let note = told.clone();
    let endpoint = world.raw_instance(&function, "f", move |mut stream| {
        let note = note.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.read(&mut [0]).await;
            note.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut client = TcpStream::connect(world.public).await.unwrap();
    client.write_all(b"GET /f HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("the function is called", || endpoint.in_flight() == 1).await;
    drop(client);
    until("the slot is free", || endpoint.in_flight() == 0).await;
    until("the function heard", || told.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_waiting_leaves_the_queue() {
    let world = World::new().await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    let group = world.group(&function);
    let mut client = TcpStream::connect(world.public).await.unwrap();
    client.write_all(b"GET /f HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("it waits", || group.demand().waiting == 1).await;
    drop(client);
    until("no one waits", || group.prune_waiting() == 0).await;
}

#[tokio::test]
async fn a_head_of_ten_megabytes_is_answered_431() {
    let world = World::new().await;
    let mut client = TcpStream::connect(world.public).await.unwrap();
    let (mut reading, mut writing) = client.split();
    let send = async {
        let _ = writing.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-big: ").await;
        let piece = vec![b'a'; 64 * 1024];
        for _ in 0..160 {
            if writing.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    let receive = async {
        let mut answer = Vec::new();
        let _ = reading.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let ((), answer) = tokio::join!(send, receive);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_cut_off_and_an_idle_one_is_not() {
    let options = Options { header_timeout: Duration::from_millis(300), ..Options::default() };
    let world = World::with(options, Vec::new()).await;
    world.hello("f").await;
    let mut idle = connect(world.public).await;
    assert_eq!(idle.send_request(request(Method::GET, "/f")).await.unwrap().status(), 200);
    let mut slow = TcpStream::connect(world.public).await.unwrap();
    let started = std::time::Instant::now();
    let mut ended = false;
    for byte in b"GET /f HTTP/1.1\r\nhost: x\r\nx-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        let _ = slow.write_all(&[*byte]).await;
        let read = tokio::time::timeout(Duration::from_millis(20), slow.read(&mut [0; 64])).await;
        if read.is_ok() {
            ended = true;
            break;
        }
    }
    assert!(ended, "still connected after {:?}", started.elapsed());
    idle.ready().await.unwrap();
    assert_eq!(idle.send_request(request(Method::GET, "/f")).await.unwrap().status(), 200);
}
