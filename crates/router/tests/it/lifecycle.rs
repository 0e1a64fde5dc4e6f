//! Stopping.

use std::sync::Arc;
use std::time::Duration;

use fission_api::FunctionSpec;
use fission_router::Options;
use http::{Method, Response};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::world::{World, connect, get, read, request, until, until_async, whole};

#[tokio::test]
async fn requests_in_flight_finish_while_no_new_connection_is_taken() {
    let mut world = World::new().await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    let finish = Arc::new(Notify::new());
    let wait = finish.clone();
    let endpoint = world.instance(&function, "f", move |_| {
        let wait = wait.clone();
        async move {
            wait.notified().await;
            Response::new(whole("finished"))
        }
    });
    let idle = connect(world.public).await;
    let public = world.public;
    let waiting = tokio::spawn(async move { get(public, "/f").await });
    until("it is in flight", || endpoint.in_flight() == 1).await;
    world.shutdown.cancel();
    until_async("no connection is taken", async || TcpStream::connect(public).await.is_err()).await;
    until("idle connections are closed", || idle.is_closed()).await;
    assert!(!world.serving.is_finished());
    finish.notify_one();
    assert_eq!(waiting.await.unwrap().text(), "finished");
    (&mut world.serving).await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let options = Options { drain_timeout: Duration::from_millis(200), ..Options::default() };
    let mut world = World::with(options, Vec::new()).await;
    let function = world.route("f", "/f", FunctionSpec::default()).await;
    let endpoint = world.instance(&function, "f", |_| std::future::pending());
    let mut client = connect(world.public).await;
    let waiting = tokio::spawn(async move { client.send_request(request(Method::GET, "/f")).await });
    until("it is in flight", || endpoint.in_flight() == 1).await;
    world.shutdown.cancel();
    (&mut world.serving).await.unwrap();
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(endpoint.in_flight(), 0);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let world = World::new().await;
    world.hello("f").await;
    let mut client = connect(world.public).await;
    for _ in 0..3 {
        client.ready().await.unwrap();
        assert_eq!(read(client.send_request(request(Method::GET, "/f")).await.unwrap()).await.text(), "hello");
    }
}
