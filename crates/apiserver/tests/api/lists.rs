//! Lists: pages, selectors, versions, tables.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::Value;

use crate::world::{function, functions, get, world};

const FUNCTIONS: &str = "/apis/fission.io/v1/namespaces/default/functions";

#[tokio::test]
async fn pages_together_are_the_list_as_it_was_when_it_began() {
    let (_server, client) = world();
    let api = functions(&client);
    for at in 0..10 {
        api.create(&PostParams::default(), &function(&format!("f{at}"))).await.unwrap();
    }
    let mut params = ListParams::default().limit(3);
    let mut names = Vec::new();
    loop {
        let page = api.list(&params).await.unwrap();
        names.extend(page.items.iter().map(ResourceExt::name_any));
        // What happens between pages must not show.
        let _ = api.delete("f9", &DeleteParams::default()).await;
        let _ = api.create(&PostParams::default(), &function("f5b")).await;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(names, (0..10).map(|at| format!("f{at}")).collect::<Vec<_>>());
    let now: Vec<String> = api.list(&ListParams::default()).await.unwrap().iter().map(ResourceExt::name_any).collect();
    assert!(now.contains(&"f5b".to_owned()) && !now.contains(&"f9".to_owned()));
}

#[tokio::test]
async fn selectors_choose_and_remaining_counts() {
    let (server, client) = world();
    let api = functions(&client);
    for at in 0..6 {
        let mut function = function(&format!("f{at}"));
        function.labels_mut().insert("even".to_owned(), (at % 2 == 0).to_string());
        api.create(&PostParams::default(), &function).await.unwrap();
    }
    assert_eq!(api.list(&ListParams::default().labels("even=true")).await.unwrap().items.len(), 3);
    assert_eq!(api.list(&ListParams::default().fields("metadata.name=f1")).await.unwrap().items.len(), 1);
    let (_, page) = get(&server, &format!("{FUNCTIONS}?limit=2")).await;
    assert_eq!(page["metadata"]["remainingItemCount"], 4);
    let (_, page) = get(&server, &format!("{FUNCTIONS}?limit=1&labelSelector=even%3Dtrue")).await;
    assert!(page["metadata"]["remainingItemCount"].is_null() && page["metadata"]["continue"].is_string());
}

#[tokio::test]
async fn an_exact_version_is_given_exactly() {
    let (server, client) = world();
    let api = functions(&client);
    let then = api.create(&PostParams::default(), &function("a")).await.unwrap().resource_version().unwrap();
    api.create(&PostParams::default(), &function("b")).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let (_, list) = get(&server, &format!("{FUNCTIONS}?resourceVersion={then}&resourceVersionMatch=Exact")).await;
    assert_eq!(names(&list), ["a"]);
    assert_eq!(list["metadata"]["resourceVersion"], then.as_str());
    let (_, list) =
        get(&server, &format!("{FUNCTIONS}?resourceVersion={then}&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(names(&list), ["b"]);
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_table_has_the_columns_people_are_shown() {
    let (server, client) = world();
    functions(&client).create(&PostParams::default(), &function("a")).await.unwrap();
    let table = |path: &str| {
        let request =
            Request::get(path).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
        let server = server.clone();
        async move {
            let response = server.handle(request.body(Empty::<Bytes>::new()).unwrap()).await;
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        }
    };
    let functions = table(FUNCTIONS).await;
    assert_eq!((functions["kind"].as_str(), functions["rows"][0]["cells"][0].as_str()), (Some("Table"), Some("a")));
    assert_eq!(functions["columnDefinitions"][1]["name"], "Age");
    assert_eq!(functions["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let namespaces = table("/api/v1/namespaces").await;
    assert_eq!(namespaces["rows"][0]["cells"][1], "Active");
    assert_eq!(table(&format!("{FUNCTIONS}/a")).await["rows"].as_array().unwrap().len(), 1);
}
