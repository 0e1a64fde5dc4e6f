//! Bad input: every error is a `Status` a person can act on.

use std::sync::LazyLock;

use fission_apiserver::ApiServer;
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::{ask, function_json, get, world};

const FUNCTIONS: &str = "/apis/fission.io/v1/namespaces/default/functions";

#[tokio::test]
async fn every_error_is_a_status_with_code_and_reason() {
    let (server, _client) = world();
    let good = function_json("f").to_string();
    assert_eq!(ask(&server, Method::POST, FUNCTIONS, "application/json", &good).await.0, 201);
    let cases: &[(Method, &str, &str, &str, u16, &str)] = &[
        (Method::GET, "/nonsense", "", "", 404, "NotFound"),
        (Method::GET, "/apis/fission.io/v1/namespaces/default/functions/none", "", "", 404, "NotFound"),
        (Method::GET, "/apis/fission.io/v1/nonsense", "", "", 404, "NotFound"),
        (Method::POST, FUNCTIONS, "application/json", &good, 409, "AlreadyExists"),
        (Method::POST, FUNCTIONS, "application/json", "{", 400, "BadRequest"),
        (Method::POST, FUNCTIONS, "application/json", "[]", 400, "BadRequest"),
        (Method::POST, FUNCTIONS, "application/yaml", "a: [", 400, "BadRequest"),
        (Method::POST, FUNCTIONS, "application/vnd.kubernetes.protobuf", "k8s", 415, "UnsupportedMediaType"),
        (Method::POST, FUNCTIONS, "text/html", "x", 415, "UnsupportedMediaType"),
        (Method::PATCH, &format!("{FUNCTIONS}/f"), "application/json", "{}", 415, "UnsupportedMediaType"),
        (Method::POST, "/apis/fission.io/v1/functions", "application/json", &good, 405, "MethodNotAllowed"),
        (Method::PUT, FUNCTIONS, "application/json", &good, 405, "MethodNotAllowed"),
        (Method::DELETE, "/version", "", "", 405, "MethodNotAllowed"),
        (Method::GET, &format!("{FUNCTIONS}?limit=x"), "", "", 400, "BadRequest"),
        (Method::GET, &format!("{FUNCTIONS}?labelSelector=a%20b"), "", "", 400, "BadRequest"),
        (Method::GET, &format!("{FUNCTIONS}?fieldSelector=spec.x=1"), "", "", 400, "BadRequest"),
        (Method::GET, &format!("{FUNCTIONS}?continue=x"), "", "", 400, "BadRequest"),
        (Method::GET, &format!("{FUNCTIONS}?resourceVersion=999999"), "", "", 504, "Timeout"),
        (Method::POST, &format!("{FUNCTIONS}?dryRun=Some"), "application/json", &good, 400, "BadRequest"),
        (Method::POST, "/api/v1/namespaces/default/pods", "application/json", "{}", 405, "MethodNotAllowed"),
        (Method::DELETE, "/api/v1/namespaces/default", "", "", 403, "Forbidden"),
        (Method::PATCH, &format!("{FUNCTIONS}/f"), "application/apply-patch+yaml", &good, 400, "BadRequest"),
    ];
    for (method, path, kind, body, code, reason) in cases {
        let (got, status) = ask(&server, method.clone(), path, kind, body).await;
        assert_eq!((got, status["reason"].as_str()), (*code, Some(*reason)), "{method} {path}: {status}");
        assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")), "{method} {path}");
        assert_eq!(status["code"], *code, "{method} {path}");
        assert!(!status["message"].as_str().unwrap_or("").is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn an_invalid_object_names_each_wrong_field() {
    let (server, _client) = world();
    let mut wrong = function_json("Bad_Name");
    wrong["metadata"]["labels"] = json!({ "a b": "c" });
    let (code, status) = ask(&server, Method::POST, FUNCTIONS, "application/json", &wrong.to_string()).await;
    assert_eq!((code, &status["reason"], &status["details"]["kind"]), (422, &json!("Invalid"), &json!("Function")));
    let fields: Vec<&str> = causes(&status).iter().map(|cause| cause["field"].as_str().unwrap()).collect();
    assert!(fields.contains(&"metadata.name") && fields.contains(&"metadata.labels"), "{status}");
    assert!(
        status["message"].as_str().unwrap().starts_with(r#"Function.fission.io "Bad_Name" is invalid: "#),
        "{status}"
    );
}

fn causes(status: &Value) -> &Vec<Value> {
    status["details"]["causes"].as_array().expect("an invalid object has causes")
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_limit_named() {
    let (server, _client) = world();
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let (code, status) = ask(&server, Method::POST, FUNCTIONS, "application/json", &large).await;
    assert_eq!((code, &status["reason"]), (413, &json!("RequestEntityTooLarge")));
    assert!(status["message"].as_str().unwrap().contains("3145728"), "{status}");
}

#[tokio::test]
async fn a_body_nested_without_end_is_refused() {
    let (server, _client) = world();
    for (kind, body) in [
        ("application/json", "[".repeat(100_000)),
        ("application/json", format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120))),
        ("application/yaml", "[".repeat(100_000)),
    ] {
        assert_eq!(ask(&server, Method::POST, FUNCTIONS, kind, &body).await.0, 400);
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9=%/.-]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(field(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Names the server looks at, so that what is wrong is wrong where it matters.
fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "data",
        "stringData",
        "name",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "deletionTimestamp",
        "generation",
        "resourceVersion",
        "uid",
        "type",
        "phase",
        "kind",
        "apiVersion",
        "environment",
        "package",
        "InvokeStrategy",
        "runtime",
        "version",
        "functionref",
        "secrets",
        "fieldsV1",
        "manager",
    ])
    .prop_map(str::to_owned)
}

/// One server for all cases: what earlier ones stored is more to go wrong.
static SHARED: LazyLock<(Runtime, ApiServer)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime starts");
    let server = runtime.block_on(async { world().0 });
    (runtime, server)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_body_is_stored_or_refused_and_nothing_panics(body in json_values(), meta in json_values(), at in 0..6_usize, verb in 0..5_usize) {
        let plural = ["api/v1/namespaces/default/secrets", "api/v1/namespaces", "api/v1/namespaces/default/events",
            "apis/fission.io/v1/namespaces/default/functions", "apis/fission.io/v1/namespaces/default/packages",
            "apis/apiextensions.k8s.io/v1/customresourcedefinitions"][at];
        let (runtime, server) = &*SHARED;
        runtime.block_on(async {
            let collection = format!("/{plural}");
            let mut good = if plural.ends_with("functions") { function_json("x") } else { json!({ "metadata": { "name": "x" } }) };
            let _ = ask(server, Method::POST, &collection, "application/json", &good.to_string()).await;
            let mut body = body;
            if let (Some(body), Some(meta)) = (body.as_object_mut(), meta.as_object()) {
                good["metadata"].as_object_mut().unwrap().extend(meta.clone());
                body.insert("metadata".to_owned(), good["metadata"].clone());
            }
            let (method, path, kind) = [
                (Method::POST, collection.clone(), "application/json"),
                (Method::PUT, format!("{collection}/x"), "application/json"),
                (Method::PATCH, format!("{collection}/x"), "application/merge-patch+json"),
                (Method::PATCH, format!("{collection}/x?fieldManager=m&force=true"), "application/apply-patch+yaml"),
                (Method::PUT, format!("{collection}/x/status"), "application/json"),
            ][verb].clone();
            let (code, _) = ask(server, method, &path, kind, &body.to_string()).await;
            assert!(code < 500, "{code} for {body}");
        });
    }
}

#[tokio::test]
async fn health_version_discovery_and_openapi_are_served() {
    let (server, _client) = world();
    for path in [
        "/",
        "/healthz",
        "/livez",
        "/readyz",
        "/version",
        "/api",
        "/apis",
        "/api/v1",
        "/apis/fission.io",
        "/apis/fission.io/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/api/v1",
        "/openapi/v3/apis/fission.io/v1",
    ] {
        assert_eq!(get(&server, path).await.0, 200, "{path}");
    }
    assert_eq!(get(&server, "/apis/none.io").await.0, 404);
    let (_, version) = get(&server, "/version").await;
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1.33.0+fission-test"), "{version}");
    let head = http::Request::head("/healthz").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(server.handle(head).await.status(), 200);
}

#[tokio::test]
async fn discovery_finds_every_kind_plain_and_aggregated() {
    let (server, client) = world();
    let discovery = kube::discovery::Discovery::new(client.clone()).run().await.unwrap();
    let group = discovery.get("fission.io").unwrap();
    assert_eq!(group.recommended_resources().len(), fission_api::kinds::KINDS.len());
    let aggregated = kube::discovery::Discovery::new(client).run_aggregated().await.unwrap();
    assert_eq!(aggregated.get("fission.io").unwrap().recommended_resources().len(), fission_api::kinds::KINDS.len());
    let review = json!({ "spec": { "resourceAttributes": { "verb": "create" } } }).to_string();
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (code, answer) = ask(&server, Method::POST, path, "application/json", &review).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)));
}
