//! `POST /validate`: what the API server asks before it stores an object. The rules are those of [`fission_api::kinds`],
//! which the platform's own API server on one machine calls too, so both refuse the same objects in the same words.

use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fission_api::field_error::refusal;
use fission_api::{FieldError, GROUP, KindInfo, VERSION, kinds, structural};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of a question: two objects, each at most what an API server takes in a request (3 MiB), and some room.
const MAX_BYTES: usize = 7 << 20;
/// What questions and answers call themselves.
const API_VERSION: &str = "admission.k8s.io/v1";

/// The webhook's paths.
pub(super) fn http() -> Router {
    Router::new()
        .route("/validate", post(answer))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .route("/healthz", get(|| async { StatusCode::OK }))
}

#[derive(Deserialize)]
struct Review {
    request: Question,
}

/// What is looked at of a question.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    uid: String,
    kind: AskedKind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    sub_resource: String,
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Deserialize)]
struct AskedKind {
    group: String,
    version: String,
    kind: String,
}

async fn answer(review: Result<Json<Review>, JsonRejection>) -> Response {
    let question = match review {
        Ok(Json(review)) => review.request,
        Err(error) => {
            let why = format!("this is no AdmissionReview of {API_VERSION}: {}", error.body_text());
            return (error.status(), why).into_response();
        }
    };
    let problems = problems(&question);
    let mut response = json!({ "uid": question.uid, "allowed": problems.is_none() });
    if let Some((info, errors)) = problems {
        response["status"] = status(info, name(&question), &errors);
        let message = &response["status"]["message"];
        tracing::debug!(message = message.as_str().unwrap_or_default(), "refused");
    }
    Json(json!({ "apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response })).into_response()
}

/// What is wrong with the object asked about; `None` when it may be stored, or is none of ours to judge.
fn problems(question: &Question) -> Option<(&'static KindInfo, Vec<FieldError>)> {
    let AskedKind { group, version, kind } = &question.kind;
    let ours = group == GROUP && version == VERSION && question.sub_resource.is_empty();
    let writes = matches!(question.operation.as_str(), "CREATE" | "UPDATE");
    let info = kinds::kind(kind).filter(|_| ours && writes)?;
    let mut object = question.object.clone();
    // As it would be stored: the cluster's own API server has done what the schema says, but not more than that.
    structural::prune(&mut object, info.schema());
    (info.default)(&mut object);
    let old = Some(&question.old_object).filter(|old| !old.is_null());
    let errors = (info.validate)(&object, old);
    (!errors.is_empty()).then_some((info, errors))
}

fn name(question: &Question) -> &str {
    match question.name.as_str() {
        "" => question.object["metadata"]["name"].as_str().unwrap_or_default(),
        name => name,
    }
}

/// A refusal, in the words of the API server on one machine.
fn status(info: &KindInfo, name: &str, errors: &[FieldError]) -> Value {
    let words: Vec<(&str, String)> = errors.iter().map(|error| (error.path.as_str(), error.words())).collect();
    let problems = words.iter().map(|(path, words)| (*path, words.as_str()));
    let causes = errors.iter().map(|error| {
        let mut cause = json!({ "reason": error.problem.reason(), "message": error.words() });
        if !error.path.is_empty() {
            cause["field"] = error.path.as_str().into();
        }
        cause
    });
    json!({
        "status": "Failure", "reason": "Invalid", "code": StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
        "message": refusal(&format!("{}.{GROUP}", info.kind), name, problems),
        "details": { "name": name, "group": GROUP, "kind": info.kind, "causes": causes.collect::<Vec<_>>() },
    })
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
