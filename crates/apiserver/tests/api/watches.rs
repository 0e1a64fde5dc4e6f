//! Watches: from nothing, from a version, with selectors, through `kube`'s own watchers.

use std::time::Duration;

use fission_api::Function;
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{DEADLINE, function, functions, until, world};

fn said(event: &WatchEvent<Function>) -> String {
    match event {
        WatchEvent::Added(object) => format!("added {}", object.name_any()),
        WatchEvent::Modified(object) => format!("modified {}", object.name_any()),
        WatchEvent::Deleted(object) => format!("deleted {}", object.name_any()),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

async fn events(api: &Api<Function>, params: &WatchParams, version: &str, count: usize) -> Vec<String> {
    let stream = api.watch(params, version).await.unwrap();
    pin_mut!(stream);
    let taking = async {
        let mut seen = Vec::new();
        while seen.len() < count {
            match stream.try_next().await.unwrap() {
                Some(event) => seen.push(said(&event)),
                None => break,
            }
        }
        seen
    };
    tokio::time::timeout(DEADLINE, taking).await.expect("the watch says what happened in time")
}

#[tokio::test]
async fn a_watch_from_a_version_tells_all_that_happened_after_it_in_order() {
    let (_server, client) = world();
    let api = functions(&client);
    let then = api.create(&PostParams::default(), &function("a")).await.unwrap().resource_version().unwrap();
    api.create(&PostParams::default(), &function("b")).await.unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "functionTimeout": 5 } }))).await.unwrap();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    let seen = events(&api, &WatchParams::default(), &then, 3).await;
    assert_eq!(seen, ["added b", "modified a", "deleted b"]);
    let seen = events(&api, &WatchParams::default(), "0", 1).await;
    assert_eq!(seen, ["added a"]);
}

#[tokio::test]
async fn an_object_that_stops_or_starts_matching_is_deleted_or_added() {
    let (_server, client) = world();
    let api = functions(&client);
    let then = api.create(&PostParams::default(), &function("a")).await.unwrap().resource_version().unwrap();
    for label in [json!("1"), json!(null)] {
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "x": label } } }));
        api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    let seen = events(&api, &WatchParams::default().labels("x=1"), &then, 2).await;
    assert_eq!(seen, ["added a", "deleted a"]);
}

#[tokio::test]
async fn a_version_from_another_life_of_the_server_is_gone() {
    let (_server, client) = world();
    let seen = events(&functions(&client), &WatchParams::default(), "999999", 5).await;
    assert_eq!(seen, ["error 410"]);
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_with_a_bookmark() {
    let (_server, client) = world();
    let api = functions(&client);
    let params = WatchParams::default().timeout(1);
    let version = api.create(&PostParams::default(), &function("a")).await.unwrap().resource_version().unwrap();
    assert_eq!(events(&api, &params, &version, 5).await, ["bookmark"]);
}

#[tokio::test]
async fn a_shutdown_ends_watches_and_refuses_writes() {
    let (server, client) = world();
    let api = functions(&client);
    let watching = tokio::spawn({
        let api = api.clone();
        async move { events(&api, &WatchParams::default(), "0", 1).await }
    });
    tokio::task::yield_now().await;
    server.shutdown().await;
    assert!(watching.await.unwrap().is_empty());
    let refused = api.create(&PostParams::default(), &function("a")).await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 503));
}

#[tokio::test]
async fn a_reflector_keeps_up_by_list_and_by_streaming_list() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let (_server, client) = world();
        let api = functions(&client);
        for at in 0..20 {
            api.create(&PostParams::default(), &function(&format!("f{at}"))).await.unwrap();
        }
        let (reader, writer) = reflector::store::<Function>();
        let stream = reflector(writer, watcher(api.clone(), config)).applied_objects();
        let running = tokio::spawn(async move { stream.for_each(|_| std::future::ready(())).await });
        tokio::time::timeout(DEADLINE, reader.wait_until_ready()).await.unwrap().unwrap();
        assert_eq!(reader.len(), 20);
        api.create(&PostParams::default(), &function("late")).await.unwrap();
        api.delete("f0", &DeleteParams::default()).await.unwrap();
        until("the reflector catches up", || async {
            let names: Vec<String> = reader.state().iter().map(|function| function.name_any()).collect();
            names.contains(&"late".to_owned()) && !names.contains(&"f0".to_owned())
        })
        .await;
        running.abort();
    }
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_cut_and_writers_never_wait_for_it() {
    let (_server, client) = world();
    let api = functions(&client);
    let stream = api.watch(&WatchParams::default(), "0").await.unwrap();
    pin_mut!(stream);
    api.create(&PostParams::default(), &function("f")).await.unwrap();
    assert_eq!(said(&stream.try_next().await.unwrap().unwrap()), "added f");
    // Larger in sum than what the server keeps for watchers.
    let large = "x".repeat(200 * 1024);
    let writing = async {
        for at in 0..60 {
            let patch = Patch::Merge(json!({ "metadata": { "annotations": { "text": format!("{at}{large}") } } }));
            api.patch("f", &PatchParams::default(), &patch).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), writing).await.expect("writers go on");
    let mut last = String::new();
    while let Some(Ok(event)) = stream.next().await {
        last = said(&event);
    }
    assert_eq!(last, "error 410");
}
