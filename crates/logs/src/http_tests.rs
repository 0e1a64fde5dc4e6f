//! Function logs over HTTP.

use axum::http::Request;
use fission_rpc::logs::{LogOwner, Stream};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::store::Options;

async fn ask(router: &Router, query: &str) -> (StatusCode, Body) {
    let request = Request::get(format!("/fission/v1/logs{query}")).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    (response.status(), response.into_body())
}

async fn lines(router: &Router, query: &str) -> Vec<LogLine> {
    let (status, body) = ask(router, query).await;
    assert_eq!(status, StatusCode::OK);
    let text = body.collect().await.unwrap().to_bytes();
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn print(store: &LogStore, function: &str, text: &str) {
    let owner = LogOwner { namespace: "default".into(), function: function.into(), ..LogOwner::default() };
    let time = Timestamp::now();
    let request_id = Some(format!("request of {text}"));
    let line = LogLine { id: 0, time, owner, stream: Stream::Stdout, request_id, text: text.into() };
    assert!(store.reserve(&line));
    store.enqueue(vec![line]);
}

#[tokio::test]
async fn lines_are_selected_by_the_query_of_the_url() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    for (function, text) in [("hello", "one"), ("other", "two"), ("hello", "three")] {
        print(&store, function, text);
    }
    store.flush().await;
    let router = http(store);
    for (query, wanted) in [
        ("", vec!["one", "two", "three"]),
        ("?namespace=default&function=hello", vec!["one", "three"]),
        ("?namespace=elsewhere", vec![]),
        ("?requestId=request%20of%20two", vec!["two"]),
        ("?function=hello&limit=1&since=5m&instance=", vec!["three"]),
        ("?after=2", vec!["three"]),
        ("?since=2999-01-01T00:00:00Z", vec![]),
    ] {
        let texts: Vec<_> = lines(&router, query).await.into_iter().map(|line| line.text).collect();
        assert_eq!(texts, wanted, "{query}");
    }
}

#[tokio::test]
async fn questions_that_make_no_sense_are_answered_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let router = http(LogStore::open(dir.path(), Options::default()).unwrap());
    for (query, why) in [
        ("?since=yesterday", "neither a time"),
        ("?since=-5m", "neither a time"),
        ("?limit=many", "limit"),
        ("?limit=100001", "100000"),
        ("?functoin=hello", "functoin"),
        ("?follow=maybe", "follow"),
    ] {
        let (status, body) = ask(&router, query).await;
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(status == StatusCode::BAD_REQUEST && body.contains(why), "{query}: {status} {body}");
    }
}

#[tokio::test]
async fn following_streams_lines_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    print(&store, "hello", "before");
    store.flush().await;
    let router = http(store.clone());
    let (status, mut body) = ask(&router, "?follow=true&function=hello").await;
    assert_eq!(status, StatusCode::OK);
    for text in ["before", "after"] {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(serde_json::from_slice::<LogLine>(&piece).unwrap().text, text);
        print(&store, "hello", "after");
    }
}

#[test]
fn durations_are_those_people_type() {
    let now = "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap();
    for (text, seconds) in [("5m", 300), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("0s", 0)] {
        assert_eq!(now.duration_since(time(text, now).unwrap()).as_secs(), seconds, "{text}");
    }
    assert_eq!(time("2026-01-02T03:00:00Z", now).unwrap().to_string(), "2026-01-02T03:00:00Z");
    assert_eq!(time("300ms", now).unwrap().to_string(), "2026-01-02T03:04:04.7Z");
}
