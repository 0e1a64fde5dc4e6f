//! Create, read, replace, patch, delete.

use fission_api::Function;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{ask, environment, function, function_json, functions, get, world};

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() {
    let (_server, client) = world();
    let api = functions(&client);
    let made = api.create(&PostParams::default(), &function("hello")).await.unwrap();
    assert!(made.uid().is_some() && made.metadata.generation == Some(1));
    let mut read = api.get("hello").await.unwrap();
    assert_eq!(read, made);
    read.spec.function_timeout = 7;
    let replaced = api.replace("hello", &PostParams::default(), &read).await.unwrap();
    assert_eq!((replaced.spec.function_timeout, replaced.metadata.generation), (7, Some(2)));
    api.delete("hello", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("hello").await.unwrap().is_none());
}

#[tokio::test]
async fn a_replace_based_on_an_old_version_is_a_conflict() {
    let (_server, client) = world();
    let api = functions(&client);
    let mut old = api.create(&PostParams::default(), &function("f")).await.unwrap();
    api.patch("f", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "functionTimeout": 5 } }))).await.unwrap();
    old.spec.function_timeout = 9;
    let error = api.replace("f", &PostParams::default(), &old).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(status.message.contains("the object has been modified"), "{}", status.message);
}

#[tokio::test]
async fn patches_without_a_version_never_conflict() {
    let (_server, client) = world();
    let api = functions(&client);
    api.create(&PostParams::default(), &function("f")).await.unwrap();
    let patches = (0..30).map(|at| {
        let api = api.clone();
        async move {
            let patch = Patch::Merge(json!({ "metadata": { "labels": { format!("l{at}"): "x" } } }));
            api.patch("f", &PatchParams::default(), &patch).await.map(|_| ())
        }
    });
    futures_util::future::try_join_all(patches).await.unwrap();
    assert_eq!(api.get("f").await.unwrap().labels().len(), 30);
}

#[tokio::test]
async fn the_status_is_written_through_its_own_path_only() {
    let (_server, client) = world();
    let api = functions(&client);
    api.create(&PostParams::default(), &function("f")).await.unwrap();
    let both = json!({ "spec": { "functionTimeout": 5 }, "status": { "observedGeneration": 1 } });
    let main = api.patch("f", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
    assert!(main.status.is_none() && main.spec.function_timeout == 5);
    let status = api
        .patch_status(
            "f",
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": { "functionTimeout": 6 }, "status": { "observedGeneration": 2 } })),
        )
        .await
        .unwrap();
    assert_eq!(status.status.unwrap().observed_generation, Some(2));
    assert_eq!((status.spec.function_timeout, status.metadata.generation), (5, Some(2)));
}

#[tokio::test]
async fn a_generated_name_is_made_and_a_dry_run_stores_nothing() {
    let (_server, client) = world();
    let api = functions(&client);
    let mut nameless = function("x");
    nameless.metadata.name = None;
    nameless.metadata.generate_name = Some("gen-".to_owned());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert!(api.create(&dry, &nameless).await.unwrap().name_any().starts_with("gen-"));
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
    let one = api.create(&PostParams::default(), &nameless).await.unwrap().name_any();
    let two = api.create(&PostParams::default(), &nameless).await.unwrap().name_any();
    assert_ne!(one, two);
}

#[tokio::test]
async fn a_delete_with_a_wrong_uid_or_version_deletes_nothing() {
    let (_server, client) = world();
    let api = functions(&client);
    let made = api.create(&PostParams::default(), &function("f")).await.unwrap();
    let only = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::default()
    };
    for wrong in [only(Some("other".to_owned()), None), only(None, Some("1".to_owned()))] {
        assert!(matches!(api.delete("f", &wrong).await, Err(kube::Error::Api(status)) if status.code == 409));
    }
    api.delete("f", &only(made.uid(), made.resource_version())).await.unwrap();
}

#[tokio::test]
async fn core_kinds_are_stored_with_strategic_merge_and_folded_secrets() {
    let (_server, client) = world();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "m" }, "data": { "a": "1" } })).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let patch = Patch::Strategic(json!({ "data": { "b": "2", "a": null } }));
    let map = maps.patch("m", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(map.data.unwrap().into_iter().collect::<Vec<_>>(), [("b".to_owned(), "2".to_owned())]);
    let secrets: Api<Secret> = Api::default_namespaced(client);
    let secret: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "s" }, "stringData": { "k": "v" } })).unwrap();
    let secret = secrets.create(&PostParams::default(), &secret).await.unwrap();
    assert_eq!(secret.data.unwrap()["k"].0, b"v");
}

#[tokio::test]
async fn nothing_is_created_in_a_namespace_that_does_not_exist() {
    let (_server, client) = world();
    let api: Api<Function> = Api::namespaced(client.clone(), "later");
    let error = api.create(&PostParams::default(), &function("f")).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert_eq!((status.code, status.message.as_str()), (404, "namespaces \"later\" not found"));
    let namespaces: Api<Namespace> = Api::all(client);
    let later: Namespace = serde_json::from_value(json!({ "metadata": { "name": "later" } })).unwrap();
    namespaces.create(&PostParams::default(), &later).await.unwrap();
    api.create(&PostParams::default(), &function("f")).await.unwrap();
}

#[tokio::test]
async fn yaml_is_read_and_written() {
    let (server, _client) = world();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata:\n  a: \"1\"\n";
    let path = "/api/v1/namespaces/default/configmaps";
    let (code, made) = ask(&server, http::Method::POST, path, "application/yaml", yaml).await;
    assert_eq!((code, &made["data"]["a"]), (201, &json!("1")));
    let request = http::Request::get(format!("{path}/y")).header("accept", "application/yaml");
    let response = server.handle(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()).await;
    assert_eq!(response.headers()["content-type"], "application/yaml");
}

#[tokio::test]
async fn definitions_of_the_kinds_are_there_and_applying_them_changes_nothing() {
    let (server, _client) = world();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/functions.fission.io";
    let (code, definition) = get(&server, path).await;
    assert_eq!((code, &definition["spec"]["names"]["kind"]), (200, &json!("Function")));
    let patch = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "group": "evil" } }).to_string();
    let (code, patched) = ask(&server, http::Method::PATCH, path, "application/merge-patch+json", &patch).await;
    assert_eq!((code, &patched["spec"]), (200, &definition["spec"]));
    assert_eq!(ask(&server, http::Method::DELETE, path, "", "").await.0, 403);
}

#[tokio::test]
async fn a_delete_of_many_deletes_what_is_selected() {
    let (_server, client) = world();
    let api = functions(&client);
    for at in 0..10 {
        let mut function = function(&format!("f{at}"));
        function.labels_mut().insert("half".to_owned(), (at % 2).to_string());
        api.create(&PostParams::default(), &function).await.unwrap();
    }
    let selected = ListParams::default().labels("half=1");
    api.delete_collection(&DeleteParams::default(), &selected).await.unwrap();
    let left = api.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.len(), 5);
    assert!(left.iter().all(|function| function.labels()["half"] == "0"));
}

#[tokio::test]
async fn unknown_fields_are_dropped_warned_of_or_refused() {
    let (server, client) = world();
    let mut typo = function_json("typo");
    typo["spec"]["funtionTimeout"] = 3.into();
    let path = "/apis/fission.io/v1/namespaces/default/functions";
    let strict = format!("{path}?fieldValidation=Strict");
    let (code, status) = ask(&server, http::Method::POST, &strict, "application/json", &typo.to_string()).await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().unwrap().contains(r#"unknown field "spec.funtionTimeout""#), "{status}");
    let request = http::Request::post(path).body(http_body_util::Full::new(bytes::Bytes::from(typo.to_string())));
    let response = server.handle(request.unwrap()).await;
    assert_eq!(response.headers()["warning"], r#"299 - "unknown field \"spec.funtionTimeout\"""#);
    let stored = functions(&client).get("typo").await.unwrap();
    assert!(!serde_json::to_string(&stored).unwrap().contains("funtion"));
}

#[tokio::test]
async fn an_environment_is_as_good_as_a_function() {
    let (_server, client) = world();
    let api: Api<fission_api::Environment> = Api::default_namespaced(client);
    let made = api.create(&PostParams::default(), &environment("nodejs")).await.unwrap();
    assert_eq!(made.spec.runtime.image, "fission/node-env");
}
