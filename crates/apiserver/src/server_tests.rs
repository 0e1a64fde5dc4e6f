//! Tests that reach behind the API: versions that are too old, damaged rows.

use ::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::*;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Asks, and gives back the status, the body and the warnings.
async fn ask(server: &ApiServer, method: Method, path: &str, body: Value) -> (u16, Value, Vec<String>) {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = Request::builder().method(method).uri(path).body(Full::new(body)).unwrap();
    let response = server.handle(request).await;
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter().map(|it| it.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap(), warnings)
}

async fn create(server: &ApiServer, name: &str) {
    let map = json!({ "metadata": { "name": name }, "data": { "k": "text" } });
    assert_eq!(ask(server, Method::POST, MAPS, map).await.0, 201);
}

#[tokio::test]
async fn a_page_of_a_list_too_old_to_be_consistent_is_gone() {
    let server = ApiServer::open(Options::new(Storage::Memory, "test")).unwrap();
    for name in ["a", "b", "c"] {
        create(&server, name).await;
    }
    let (_, page, _) = ask(&server, Method::GET, &format!("{MAPS}?limit=1"), Value::Null).await;
    let token = page["metadata"]["continue"].as_str().unwrap().to_owned();
    create(&server, "d").await;
    let next = format!("{MAPS}?limit=1&continue={token}");
    assert_eq!(ask(&server, Method::GET, &next, Value::Null).await.0, 200);
    server.store().keep_changes(0);
    let (code, status, _) = ask(&server, Method::GET, &next, Value::Null).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let watch = format!("{MAPS}?watch=1&resourceVersion={}", page["metadata"]["resourceVersion"].as_str().unwrap());
    let (code, event, _) = ask(&server, Method::GET, &watch, Value::Null).await;
    assert_eq!((code, &event["type"], &event["object"]["code"]), (200, &json!("ERROR"), &json!(410)));
}

#[tokio::test]
async fn a_damaged_object_is_named_wherever_it_is_met_and_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options::new(Storage::Disk(folder.path().to_owned()), "test");
    let server = ApiServer::open(options()).unwrap();
    create(&server, "sound").await;
    create(&server, "hurt").await;
    server.shutdown().await;
    crate::storage::damage_row(folder.path(), "hurt");
    let server = ApiServer::open(options()).unwrap();
    let damaged = server.damaged();
    assert_eq!(damaged.len(), 1);
    assert_eq!((damaged[0].resource.as_str(), damaged[0].name.as_str()), ("configmaps", "hurt"));
    let hurt = format!("{MAPS}/hurt");
    let (code, status, _) = ask(&server, Method::GET, &hurt, Value::Null).await;
    assert!(code == 500 && status["message"].as_str().unwrap().contains("\"hurt\" is damaged on disk"), "{status}");
    let (code, list, warnings) = ask(&server, Method::GET, MAPS, Value::Null).await;
    assert_eq!((code, list["items"].as_array().unwrap().len()), (200, 1));
    assert!(warnings[0].contains("default/hurt"), "{warnings:?}");
    let again = json!({ "metadata": { "name": "hurt" } });
    assert_eq!(ask(&server, Method::POST, MAPS, again.clone()).await.0, 500);
    assert_eq!(ask(&server, Method::DELETE, &hurt, Value::Null).await.0, 200);
    assert_eq!(ask(&server, Method::POST, MAPS, again).await.0, 201);
}

#[tokio::test]
async fn a_full_disk_answers_507_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(Storage::Disk(folder.path().to_owned()), "test");
    options.max_pages = Some(60);
    let server = ApiServer::open(options).unwrap();
    let large = json!({ "metadata": { "generateName": "m-" }, "data": { "k": "x".repeat(100_000) } });
    let mut stored = 0;
    let status = loop {
        let (code, answer, _) = ask(&server, Method::POST, MAPS, large.clone()).await;
        if code != 201 {
            assert_eq!(code, 507);
            break answer;
        }
        stored += 1;
        assert!(stored < 60, "the limit was never reached");
    };
    assert!(status["message"].as_str().unwrap().contains("the disk of the data folder is full"), "{status}");
    let (_, list, _) = ask(&server, Method::GET, MAPS, Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), stored);
    assert_eq!(ask(&server, Method::DELETE, MAPS, Value::Null).await.0, 200);
    create(&server, "small").await;
}
