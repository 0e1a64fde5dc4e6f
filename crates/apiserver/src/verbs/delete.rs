//! Delete one object or many.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::{MAX_RETRIES, Outcome, Writing, live, refused};
use crate::admission::now;
use crate::http::query::Query;
use crate::registry::{CRDS, NAMESPACES, Resource};
use crate::selectors::Selectors;
use crate::status::ApiError;
use crate::storage::{Draft, Key, Object, Op, Range, Refused, Store};

/// Deletes in flight for one request to delete many: enough to fill a batch of the writer.
const IN_FLIGHT: usize = 128;
/// Namespaces that cannot be deleted.
const KEPT_NAMESPACES: &[&str] = crate::seed::NAMESPACES_KEPT;
/// Finalizer of an object whose dependents go first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object whose dependents are let go first.
pub(crate) const ORPHAN: &str = "orphan";

/// What happens to the objects that belong to a deleted one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    /// What happens to what belongs to it.
    pub(crate) propagation: Propagation,
    /// Only if it still has this uid.
    pub(crate) uid: Option<String>,
    /// Only if it is still of this version.
    pub(crate) version: Option<String>,
    /// Whether to change nothing.
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// Reads a `DeleteOptions` body and the query; the body wins.
    pub(crate) fn read(body: &Value, query: &Query) -> Result<Self, ApiError> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let policy = text(&body["propagationPolicy"]).or_else(|| query.get("propagationPolicy").map(str::to_owned));
        let orphans = body["orphanDependents"].as_bool();
        let propagation = match (policy.as_deref(), orphans) {
            (Some("Background"), _) | (None, None | Some(false)) => Propagation::Background,
            (Some("Foreground"), _) => Propagation::Foreground,
            (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
            (Some(other), _) => {
                let why = format!("propagationPolicy must be Background, Foreground or Orphan; it is {other:?}");
                return Err(ApiError::bad_request(why));
            }
        };
        let dry_run = body["dryRun"].as_array().is_some_and(|list| !list.is_empty()) || query.dry_run()?;
        let conditions = &body["preconditions"];
        let (uid, version) = (text(&conditions["uid"]), text(&conditions["resourceVersion"]));
        Ok(Self { propagation, uid, version, dry_run })
    }
}

/// What a delete did.
pub(crate) enum Deleted {
    /// It is gone; its uid.
    Gone(String),
    /// It waits for finalizers; it as it is now.
    Waiting(Outcome),
}

/// Deletes one object, or marks it as to be deleted when something has to happen first.
pub(crate) async fn delete(
    store: &Store,
    resource: &'static Resource,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    protect(resource, key)?;
    for _ in 0..MAX_RETRIES {
        let current = live(store, resource, key)?;
        let value = current.value();
        check(&value, resource, key, options)?;
        let uid = value["metadata"]["uid"].as_str().unwrap_or("").to_owned();
        let outcome = match marked(&value, resource, options.propagation) {
            _ if options.dry_run => return Ok(Deleted::Gone(uid)),
            None => store.write(key.clone(), Op::Delete(current.rv)).await.map(|_| Deleted::Gone(uid)),
            Some(next) if next == value => return Ok(Deleted::Waiting(Outcome::Stored(current))),
            Some(next) => {
                let update = Op::Update(Draft::new(&next), current.rv);
                store.write(key.clone(), update).await.map(|object| Deleted::Waiting(Outcome::Stored(object)))
            }
        };
        match outcome {
            Ok(deleted) => return Ok(deleted),
            Err(Refused::Changed) if options.version.is_none() => {}
            Err(why) => return Err(refused(why, resource, key)),
        }
    }
    Err(ApiError::modified(resource, &key.name))
}

/// Takes a damaged row away.
pub(crate) async fn discard(store: &Store, resource: &Resource, key: &Key) -> Result<(), ApiError> {
    store.write(key.clone(), Op::Discard).await.map(|_| ()).map_err(|why| refused(why, resource, key))
}

/// The object marked as to be deleted; `None` when nothing holds it.
fn marked(value: &Value, resource: &Resource, propagation: Propagation) -> Option<Value> {
    let mut next = value.clone();
    let mut finalizers = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|it| it == wanted)) {
        finalizers.retain(|it| it != FOREGROUND && it != ORPHAN);
        finalizers.push(wanted.into());
    }
    // Namespaces are emptied before they go.
    if finalizers.is_empty() && resource.id != NAMESPACES {
        return None;
    }
    if !finalizers.is_empty() {
        next["metadata"]["finalizers"] = Value::Array(finalizers);
    }
    if next["metadata"]["deletionTimestamp"].is_null() {
        next["metadata"]["deletionTimestamp"] = now().into();
        next["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        if resource.has_generation {
            let generation = next["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            next["metadata"]["generation"] = generation.into();
        }
    }
    (resource.default)(&mut next);
    Some(next)
}

fn check(value: &Value, resource: &Resource, key: &Key, options: &DeleteOptions) -> Result<(), ApiError> {
    let conditions = [("UID", "uid", &options.uid), ("ResourceVersion", "resourceVersion", &options.version)];
    for (word, field, wanted) in conditions {
        let found = value["metadata"][field].as_str().unwrap_or("");
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
            let why = format!("Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {found}");
            return Err(ApiError::conflict(resource, &key.name, &why));
        }
    }
    Ok(())
}

fn protect(resource: &Resource, key: &Key) -> Result<(), ApiError> {
    if resource.id == NAMESPACES && KEPT_NAMESPACES.contains(&&*key.name) {
        return Err(ApiError::forbidden(
            resource,
            &key.name,
            "this namespace may not be deleted; the platform needs it",
        ));
    }
    if resource.id == CRDS
        && fission_api::kinds::KINDS.iter().any(|kind| key.name.starts_with(&format!("{}.", kind.plural)))
    {
        return Err(ApiError::forbidden(resource, &key.name, "this kind is built into the server"));
    }
    Ok(())
}

/// Deletes what a list would show. Gives back the objects as they were.
pub(crate) async fn delete_collection(
    store: &Store,
    writing: &Writing,
    selectors: &Selectors,
    options: &DeleteOptions,
) -> Result<Vec<Arc<Object>>, ApiError> {
    let resource = writing.target.resource;
    let range = Range::of(resource.id, writing.target.namespace.as_deref());
    let found: Vec<(Key, Arc<Object>)> = {
        let state = store.read();
        let hits = state.range(&range).filter(|(key, object)| selectors.matches(key, object));
        hits.map(|(key, object)| (key.clone(), object.clone())).collect()
    };
    let mut deletes = stream::iter(found)
        .map(|(key, object)| async move { (delete(store, resource, &key, options).await, object) })
        .buffered(IN_FLIGHT);
    let mut deleted = Vec::new();
    while let Some((outcome, object)) = deletes.next().await {
        match outcome {
            Ok(_) => deleted.push(object),
            Err(error) if error.code == http::StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}
