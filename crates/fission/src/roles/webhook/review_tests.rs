//! One bad object of each kind, as a cluster asks about it.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

async fn ask(body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    let request = Request::post("/validate").header("content-type", "application/json").body(Body::from(body)).unwrap();
    let answer = http().oneshot(request).await.unwrap();
    (answer.status(), answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn reviewed(mut request: Value) -> Value {
    request["uid"] = "u-1".into();
    let review = json!({ "apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request });
    let (status, answer) = ask(review.to_string().into_bytes()).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((answer["kind"].as_str(), answer["apiVersion"].as_str()), (Some("AdmissionReview"), Some(API_VERSION)));
    assert_eq!(answer["response"]["uid"], "u-1");
    answer["response"].clone()
}

fn create(kind: &str, spec: Value) -> Value {
    json!({
        "kind": { "group": GROUP, "version": VERSION, "kind": kind }, "operation": "CREATE",
        "name": "hello", "namespace": "default",
        "object": { "apiVersion": "fission.io/v1", "kind": kind, "metadata": { "name": "hello", "namespace": "default" },
                    "spec": spec },
    })
}

/// A good object of a kind, from the examples of the API.
fn example(kind: &str) -> Option<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../../../api/src/examples.json")).unwrap();
    all.into_iter().find(|object| object["kind"] == kind)
}

/// For each kind a field and what it may not be.
const BAD: &[(&str, &str, &str)] = &[
    ("Function", "functionTimeout", "-1"),
    ("Environment", "version", "9"),
    ("Package", "environment", r#"{ "name": "No!", "namespace": "default" }"#),
    ("HTTPTrigger", "methods", r#"["FETCH"]"#),
    ("TimeTrigger", "functionref", r#"{ "type": "name", "name": "No!" }"#),
    ("KubernetesWatchTrigger", "namespace", r#""elsewhere""#),
    ("MessageQueueTrigger", "maxRetries", "-1"),
    ("CanaryConfig", "weightincrement", r#""much""#),
    ("FunctionVersion", "functionName", "7"),
    ("FunctionAlias", "weight", "101"),
    ("Workflow", "startAt", r#""nowhere""#),
    ("WorkflowRun", "workflow", "7"),
    ("FissionTenant", "namespace", "7"),
];

#[tokio::test]
async fn a_bad_object_of_each_kind_is_refused_with_the_path_of_its_mistake() {
    let known: Vec<&str> = kinds::KINDS.iter().map(|info| info.kind).collect();
    assert_eq!(BAD.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), known);
    for (kind, field, value) in BAD {
        let mut spec = example(kind).map_or(json!({}), |object| object["spec"].clone());
        if example(kind).is_some() {
            assert_eq!(reviewed(create(kind, spec.clone())).await["allowed"], true, "{kind}");
        }
        spec[field] = serde_json::from_str(value).unwrap();
        let response = reviewed(create(kind, spec)).await;
        let (status, causes) = (&response["status"], response["status"]["details"]["causes"].as_array());
        assert_eq!(response["allowed"], false, "{kind}");
        assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(422), Some("Invalid")), "{kind}");
        let message = status["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{kind}.fission.io \"hello\" is invalid: ")), "{message}");
        let fields: Vec<&str> = causes.unwrap().iter().filter_map(|cause| cause["field"].as_str()).collect();
        assert!(fields.iter().any(|path| path.contains(field)), "{kind}: {fields:?}: {message}");
        assert!(fields.iter().all(|path| message.contains(path)), "{message}");
    }
}

#[tokio::test]
async fn good_objects_are_allowed_and_so_is_what_is_not_ours() {
    let good = json!({ "version": 3, "runtime": { "image": "fission/node-env" } });
    let response = reviewed(create("Environment", good.clone())).await;
    assert_eq!(response, json!({ "uid": "u-1", "allowed": true }));
    assert_eq!(reviewed(create("Gadget", json!({}))).await["allowed"], true);
    let mut other = create("Function", json!({ "functionTimeout": -1 }));
    other["kind"]["group"] = "serving.example.com".into();
    assert_eq!(reviewed(other).await["allowed"], true);
    for (key, value) in [("operation", "DELETE"), ("subResource", "status")] {
        let mut request = create("Environment", json!({ "version": 9 }));
        request[key] = value.into();
        assert_eq!(reviewed(request).await["allowed"], true, "{key}");
    }
}

#[tokio::test]
async fn a_stored_object_that_rules_of_today_refuse_can_still_go() {
    let mut request = create("Environment", json!({ "version": 9, "runtime": { "image": "x" } }));
    request["operation"] = "UPDATE".into();
    request["object"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    request["oldObject"] = request["object"].clone();
    request["oldObject"]["metadata"]["finalizers"] = json!(["fission.io/x"]);
    assert_eq!(reviewed(request.clone()).await["allowed"], true);
    request["object"]["spec"]["version"] = 8.into();
    assert_eq!(reviewed(request).await["allowed"], false);
}

#[tokio::test]
async fn what_is_no_review_or_too_large_is_said_so() {
    let (status, said) = ask(b"{}".to_vec()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(String::from_utf8(said).unwrap().contains("AdmissionReview"));
    let (status, _) = ask(vec![b' '; MAX_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
