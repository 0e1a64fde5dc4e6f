//! Replace, patch and apply: all are "compute the next version from this one".

use serde_json::{Value, json};

use super::{MAX_RETRIES, Outcome, Writing, Written, create::store_new, live, refused};
use crate::patch::{self, PatchKind, apply};
use crate::registry::Resource;
use crate::shape::Shape;
use crate::status::{ApiError, Cause};
use crate::storage::{Draft, Object, Op, Refused, Store};
use http::StatusCode;
use std::sync::Arc;

/// How to compute the next version.
pub(crate) enum Change {
    /// Take this one.
    Replace(Value),
    /// Apply a patch.
    Patch(Value, PatchKind),
    /// Server-side apply; `force` takes fields from other managers.
    Apply {
        /// The fields wanted.
        wanted: Value,
        /// Whether to take fields from others.
        force: bool,
    },
}

/// Changes an object. Server-side apply makes it when it does not exist.
pub(crate) async fn update(store: &Store, writing: &Writing, mut change: Change) -> Result<Written, ApiError> {
    let (resource, key) = (writing.target.resource, writing.key());
    let mut warnings = Vec::new();
    prepare(writing, &mut change, &mut warnings)?;
    for _ in 0..MAX_RETRIES {
        let current = match (live(store, resource, &key), &change) {
            (Err(error), Change::Apply { wanted, .. })
                if error.code == StatusCode::NOT_FOUND && writing.target.subresource.is_none() =>
            {
                match apply_new(store, writing, wanted, &mut warnings).await? {
                    Some(object) => return Ok(Written { object, created: true, warnings }),
                    None => continue,
                }
            }
            (current, _) => current?,
        };
        let value = current.value();
        let (next, named_version) = next(writing, &value, &change, &mut warnings)?;
        let Some(next) = next else {
            return Ok(Written { object: Outcome::Stored(current), created: false, warnings });
        };
        match put(store, writing, &current, next).await {
            Ok(object) => return Ok(Written { object, created: false, warnings }),
            Err(Refused::Changed) if !named_version => {}
            Err(why) => return Err(refused(why, resource, &key)),
        }
    }
    Err(ApiError::modified(resource, &key.name))
}

/// Checks what can be checked before the object is read.
fn prepare(writing: &Writing, change: &mut Change, warnings: &mut Vec<String>) -> Result<(), ApiError> {
    let admission = writing.admission();
    let name = writing.target.name.as_deref().unwrap_or("");
    match change {
        Change::Replace(object) => {
            admission.identify(object)?;
            let given = object["metadata"]["name"].as_str().unwrap_or("");
            if given != name {
                return Err(ApiError::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({name})"
                )));
            }
            admission.prune(object, warnings)
        }
        Change::Apply { wanted, .. } => {
            if wanted["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
                return Err(ApiError::bad_request("metadata.managedFields must be nil"));
            }
            if wanted["apiVersion"].is_null() || wanted["kind"].is_null() {
                return Err(ApiError::bad_request("invalid object type: apiVersion and kind must be given"));
            }
            admission.identify(wanted)?;
            let given = wanted["metadata"]["name"].as_str().unwrap_or(name);
            if given != name {
                return Err(ApiError::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({name})"
                )));
            }
            wanted["metadata"]["name"] = name.into();
            admission.prune(wanted, warnings)
        }
        Change::Patch(..) => Ok(()),
    }
}

/// The next version, `None` when nothing would change; and whether the client named the version it is based on.
fn next(
    writing: &Writing,
    live: &Value,
    change: &Change,
    warnings: &mut Vec<String>,
) -> Result<(Option<Value>, bool), ApiError> {
    let (admission, resource) = (writing.admission(), writing.target.resource);
    match change {
        Change::Replace(object) => {
            let mut object = object.clone();
            let named = basis(&mut object, live, resource, true)?;
            Ok((admission.update(live, object, false)?, named))
        }
        Change::Patch(patch, kind) => {
            let mut object = patch::change(live, patch, *kind, resource)?;
            let name = live["metadata"]["name"].as_str().unwrap_or("");
            if object["metadata"]["name"] != live["metadata"]["name"] {
                return Err(ApiError::bad_request(format!("metadata.name cannot be changed by a patch of {name:?}")));
            }
            admission.identify(&mut object)?;
            warnings.clear();
            admission.prune(&mut object, warnings)?;
            let changed = object["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"];
            basis(&mut object, live, resource, false)?;
            Ok((admission.update(live, object, false)?, changed))
        }
        Change::Apply { wanted, force } => {
            let mut wanted = wanted.clone();
            let named = basis(&mut wanted, live, resource, false)?;
            let time = crate::admission::now();
            let merged = apply::apply(live, &wanted, Shape::of(&resource.shape), admission.author(&time), *force)
                .map_err(|conflicts| contested(resource, &writing.key().name, &conflicts))?;
            Ok((admission.update(live, merged, true)?, named))
        }
    }
}

/// Checks the uid and the version an object says it is based on. Says whether it named a version.
fn basis(object: &mut Value, live: &Value, resource: &Resource, replace: bool) -> Result<bool, ApiError> {
    let name = live["metadata"]["name"].as_str().unwrap_or("");
    let given = |field: &str| object["metadata"][field].as_str().unwrap_or("").to_owned();
    let (uid, version) = (given("uid"), given("resourceVersion"));
    let live_uid = live["metadata"]["uid"].as_str().unwrap_or("");
    if !uid.is_empty() && uid != live_uid {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}");
        return Err(ApiError::conflict(resource, name, &why));
    }
    if version.is_empty() || version == "0" {
        if replace && !resource.core {
            let cause = Cause {
                reason: "FieldValueInvalid".to_owned(),
                message: "Invalid value: 0x0: must be specified for an update".to_owned(),
                field: "metadata.resourceVersion".to_owned(),
            };
            return Err(ApiError::invalid(resource, name, vec![cause]));
        }
        return Ok(false);
    }
    if version != live["metadata"]["resourceVersion"].as_str().unwrap_or("") {
        return Err(ApiError::modified(resource, name));
    }
    Ok(true)
}

async fn apply_new(
    store: &Store,
    writing: &Writing,
    wanted: &Value,
    warnings: &mut Vec<String>,
) -> Result<Option<Outcome>, ApiError> {
    let (admission, resource) = (writing.admission(), writing.target.resource);
    let time = crate::admission::now();
    let empty = json!({ "metadata": {} });
    let mut object = apply::apply(&empty, wanted, Shape::of(&resource.shape), admission.author(&time), true)
        .map_err(|conflicts| contested(resource, &writing.key().name, &conflicts))?;
    if !wanted["metadata"]["resourceVersion"].as_str().unwrap_or("").is_empty() {
        return Err(ApiError::not_found(resource, &writing.key().name));
    }
    admission.create(&mut object, true)?;
    match store_new(store, writing, object, warnings).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err((Refused::Exists, _)) => Ok(None),
        Err((why, key)) => Err(refused(why, resource, &key)),
    }
}

/// Puts the next version in the place of the current one. An object whose last finalizer went is taken away instead.
async fn put(store: &Store, writing: &Writing, current: &Arc<Object>, next: Value) -> Result<Outcome, Refused> {
    if writing.dry_run {
        return Ok(Outcome::Dry(next));
    }
    let meta = &next["metadata"];
    let no_finalizers = meta["finalizers"].as_array().is_none_or(Vec::is_empty);
    // A namespace also waits for its contents: the collector takes it away.
    let done = !meta["deletionTimestamp"].is_null()
        && no_finalizers
        && writing.target.resource.id != crate::registry::NAMESPACES;
    if done {
        store.write(writing.key(), Op::Delete(current.rv)).await?;
        return Ok(Outcome::Dry(next));
    }
    store.write(writing.key(), Op::Update(Draft::new(&next), current.rv)).await.map(Outcome::Stored)
}

fn contested(resource: &Resource, name: &str, conflicts: &[apply::Conflict]) -> ApiError {
    let causes: Vec<Cause> = conflicts
        .iter()
        .map(|conflict| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {:?} using {}", conflict.manager, conflict.using),
            field: conflict.path.clone(),
        })
        .collect();
    let count = if causes.len() == 1 { "1 conflict".to_owned() } else { format!("{} conflicts", causes.len()) };
    let list: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.message, cause.field)).collect();
    let message = format!("Apply failed with {count}: {}", list.join(", "));
    ApiError::new(StatusCode::CONFLICT, "Conflict", message).about(resource, name).with_causes(causes)
}
