//! Requests about objects.

use std::sync::Arc;

use http::{Method, Response, StatusCode, header};
use http_body::Body;
use serde_json::json;

use super::format::Format;
use super::path::Target;
use super::query::Query;
use super::respond::{self, ResponseBody};
use super::{Head, body};
use crate::Inner;
use crate::patch::PatchKind;
use crate::registry::PODS;
use crate::status::{self, ApiError};
use crate::storage::Key;
use crate::verbs::{self, DeleteOptions, Deleted, Outcome, WatchOptions, Writing, Written};

/// Longest name of a field manager, in bytes; the limit of Kubernetes.
const MAX_MANAGER: usize = 128;

/// Answers a request about a resource.
pub(crate) async fn answer<B: Body>(
    server: &Arc<Inner>,
    head: &Head,
    target: Target,
    body: B,
) -> Result<Response<ResponseBody>, ApiError> {
    let resource = target.resource;
    match target.subresource.as_deref() {
        None => {}
        Some("status") if resource.has_status => {}
        Some("log") if resource.id == PODS => return log(server, head, &target).await,
        Some(_) => return Err(ApiError::no_such_path()),
    }
    if resource.id == PODS {
        server.sync_pods().await;
    }
    if head.method == Method::GET {
        return read(server, head, target);
    }
    if !resource.writable {
        let why = "pods are a view of running instances; change the function or environment they belong to";
        return Err(ApiError::method_not_allowed(resource, why));
    }
    if resource.namespaced && target.namespace.is_none() {
        let why = "objects of this kind are written below /namespaces/<namespace>";
        return Err(ApiError::method_not_allowed(resource, why));
    }
    let bytes = body::read(body).await?;
    let content_type = body::content_type(&head.headers);
    match (&head.method, target.name.is_some(), target.subresource.is_some()) {
        (&Method::POST, false, _) => {
            let object = body::parse(&bytes, &content_type)?;
            let writing = writing(head, target, false)?;
            let written = verbs::create(&server.store, &writing, object).await?;
            answer_written(head, &writing, &written)
        }
        (&Method::PUT, true, _) => {
            let change = verbs::Change::Replace(body::parse(&bytes, &content_type)?);
            change_object(server, head, target, change, false).await
        }
        (&Method::PATCH, true, _) => {
            let kind = PatchKind::from_content_type(&content_type, resource)?;
            let patch = body::parse(&bytes, &content_type)?;
            let apply = kind == PatchKind::Apply;
            let change = match apply {
                true => verbs::Change::Apply { wanted: patch, force: head.query.flag("force")? },
                false => verbs::Change::Patch(patch, kind),
            };
            change_object(server, head, target, change, apply).await
        }
        (&Method::DELETE, true, false) => delete(server, head, &target, &options(head, &bytes, &content_type)?).await,
        (&Method::DELETE, false, _) => {
            let options = options(head, &bytes, &content_type)?;
            let selectors = head.query.selectors(resource)?;
            let writing = writing(head, target, false)?;
            let gone = verbs::delete_collection(&server.store, &writing, &selectors, &options).await?;
            let page = verbs::Page {
                rv: server.store.read().rv,
                items: gone,
                next: None,
                remaining: None,
                damaged: Vec::new(),
            };
            Ok(respond::list(&page, resource, Format::Json))
        }
        _ => Err(ApiError::method_not_allowed(resource, &format!("{} is not served here", head.method))),
    }
}

fn read(server: &Arc<Inner>, head: &Head, mut target: Target) -> Result<Response<ResponseBody>, ApiError> {
    let format = Format::negotiate(&head.headers, &head.query)?;
    let watching = head.query.flag("watch")?;
    if target.name.is_some() && !watching {
        let object = verbs::get(&server.store, &target, &head.query)?;
        return Ok(respond::object(StatusCode::OK, &Outcome::Stored(object), target.resource, format));
    }
    let mut selectors = head.query.selectors(target.resource)?;
    if let Some(name) = target.name.take() {
        selectors.fields.and_name(&name);
    }
    if watching {
        let options = WatchOptions::read(&head.query)?;
        let events = verbs::watch(server.store.clone(), target, selectors, format, &options);
        return Ok(respond::stream("application/json;stream=watch", events));
    }
    let page = verbs::list(&server.store, &target, &head.query, &selectors)?;
    Ok(respond::list(&page, target.resource, format))
}

async fn log(server: &Arc<Inner>, head: &Head, target: &Target) -> Result<Response<ResponseBody>, ApiError> {
    if head.method != Method::GET {
        return Err(ApiError::method_not_allowed(target.resource, "logs can only be read"));
    }
    server.sync_pods().await;
    let plain = Query::default();
    verbs::get(&server.store, target, &plain)?;
    match server.pods() {
        Some(pods) => crate::pod_log::answer(&pods, target, &head.query).await,
        None => Err(ApiError::not_found(target.resource, target.name.as_deref().unwrap_or(""))),
    }
}

async fn change_object(
    server: &Arc<Inner>,
    head: &Head,
    target: Target,
    change: verbs::Change,
    apply: bool,
) -> Result<Response<ResponseBody>, ApiError> {
    let writing = writing(head, target, apply)?;
    let written = verbs::update(&server.store, &writing, change).await?;
    answer_written(head, &writing, &written)
}

fn answer_written(head: &Head, writing: &Writing, written: &Written) -> Result<Response<ResponseBody>, ApiError> {
    let format = Format::negotiate(&head.headers, &head.query)?;
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = respond::object(code, &written.object, writing.target.resource, format);
    respond::warn(&mut response, &written.warnings);
    Ok(response)
}

fn writing(head: &Head, target: Target, apply: bool) -> Result<Writing, ApiError> {
    let given = head.query.get("fieldManager");
    if apply && given.is_none() {
        return Err(ApiError::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if given.is_some_and(|manager| manager.len() > MAX_MANAGER) {
        return Err(ApiError::bad_request(format!("fieldManager may not be longer than {MAX_MANAGER} bytes")));
    }
    let agent = head.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let program = agent.split(['/', ' ']).next().filter(|program| !program.is_empty()).unwrap_or("unknown");
    let mut manager = given.unwrap_or(program).to_owned();
    while manager.len() > MAX_MANAGER {
        manager.pop();
    }
    Ok(Writing { target, manager, validation: head.query.field_validation()?, dry_run: head.query.dry_run()? })
}

fn options(head: &Head, bytes: &[u8], content_type: &str) -> Result<DeleteOptions, ApiError> {
    let body = if bytes.is_empty() { json!({}) } else { body::parse(bytes, content_type)? };
    if !body.is_object() && !body.is_null() {
        return Err(ApiError::bad_request("the body of a delete must be DeleteOptions"));
    }
    DeleteOptions::read(&body, &head.query)
}

async fn delete(
    server: &Arc<Inner>,
    head: &Head,
    target: &Target,
    options: &DeleteOptions,
) -> Result<Response<ResponseBody>, ApiError> {
    let (resource, name) = (target.resource, target.name.as_deref().unwrap_or(""));
    let key = Key::new(resource.id, target.namespace(), name);
    let damaged = server.store.read().damaged.contains_key(&key);
    if damaged {
        verbs::discard(&server.store, resource, &key).await?;
        return Ok(respond::value(StatusCode::OK, &status::success(), false));
    }
    match verbs::delete(&server.store, resource, &key, options).await? {
        Deleted::Gone(uid) => Ok(respond::value(StatusCode::OK, &status::deleted(resource, name, &uid), false)),
        Deleted::Waiting(object) => {
            let format = Format::negotiate(&head.headers, &head.query)?;
            Ok(respond::object(StatusCode::OK, &object, resource, format))
        }
    }
}
