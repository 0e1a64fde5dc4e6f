//! What happens by itself after a delete: objects whose owners are gone go too, orphans are let go, owners that wait
//! for their dependents are released, deleted namespaces are emptied. And old events are swept.
//!
//! It follows the ring of changes like any watcher. When it falls behind, or after a start, it looks at everything.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::path::Target;
use crate::patch::PatchKind;
use crate::registry::{self, NAMESPACES, Resource};
use crate::status::ApiError;
use crate::storage::{Change, Key, Object, Op, Range, Store};
use crate::verbs::{self, DeleteOptions, FOREGROUND, ORPHAN, Propagation, Writing};

/// Changes looked at before the next are asked for.
const CHUNK: usize = 256;
/// How often old events are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// How long events are kept; as long as Kubernetes keeps them.
const EVENT_SECONDS: i64 = 3600;

/// Runs until the store is gone or stops.
pub(crate) async fn run(store: Weak<Store>) {
    let Some(first) = store.upgrade() else { return };
    let mut feed = first.feed();
    let mut cursor = first.read().rv;
    sweep(&first).await;
    drop(first);
    let mut events = tokio::time::interval(SWEEP_EVERY);
    loop {
        let stopped = tokio::select! {
            changed = feed.changed() => changed.is_err() || feed.borrow_and_update().is_none(),
            _ = events.tick() => {
                let Some(store) = store.upgrade() else { return };
                sweep_events(&store).await;
                continue;
            }
        };
        let Some(store) = store.upgrade().filter(|_| !stopped) else { return };
        loop {
            let chunk: Result<Vec<Arc<Change>>, _> = {
                let state = store.read();
                state.ring.after(cursor).map(|changes| changes.take(CHUNK).cloned().collect())
            };
            let Ok(chunk) = chunk else {
                cursor = store.read().rv;
                sweep(&store).await;
                break;
            };
            let Some(last) = chunk.last() else { break };
            cursor = last.rv();
            for change in &chunk {
                report(&change.key, changed(&store, change).await);
            }
        }
    }
}

/// Looks at everything once.
async fn sweep(store: &Store) {
    let waiting: Vec<(Key, Arc<Object>)> = {
        let state = store.read();
        let hits = state.iter().filter(|(_, object)| object.deleting || !object.owners.is_empty());
        hits.map(|(key, object)| (key.clone(), object.clone())).collect()
    };
    for (key, object) in waiting {
        if object.deleting {
            report(&key, release(store, &key).await);
        }
        if !object.owners.is_empty() {
            report(&key, check_owners(store, &key).await);
        }
    }
}

fn report(key: &Key, outcome: Result<(), ApiError>) {
    if let Err(error) = outcome
        && !matches!(error.reason, "NotFound" | "ServiceUnavailable")
    {
        tracing::warn!(namespace = %key.namespace, name = %key.name, error = error.message, "garbage collection failed");
    }
}

async fn changed(store: &Store, change: &Change) -> Result<(), ApiError> {
    match &change.after {
        Some(after) => {
            if after.deleting {
                release(store, &change.key).await?;
            }
            let owners_changed = change.before.as_ref().is_none_or(|before| before.owners != after.owners);
            if owners_changed && !after.owners.is_empty() {
                check_owners(store, &change.key).await?;
            }
            Ok(())
        }
        None => gone(store, change).await,
    }
}

/// An object is gone: its dependents are looked at, and whoever waited for it.
async fn gone(store: &Store, change: &Change) -> Result<(), ApiError> {
    let object = change.shown.value();
    let uid = object["metadata"]["uid"].as_str().unwrap_or("").to_owned();
    let dependents = store.read().dependents(&uid);
    for dependent in dependents {
        report(&dependent, check_owners(store, &dependent).await);
    }
    for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
        if let Some((_, key)) = owner_key(owner, &change.key.namespace)
            && store.get(&key).is_some_and(|owner| owner.deleting)
        {
            report(&key, release(store, &key).await);
        }
    }
    let namespace = Key::new(NAMESPACES, "", &change.key.namespace);
    if store.get(&namespace).is_some_and(|namespace| namespace.deleting) {
        release(store, &namespace).await?;
    }
    Ok(())
}

/// Where an owner is kept. `None` when its kind is not one of ours: such owners are left alone.
fn owner_key(owner: &Value, namespace: &str) -> Option<(&'static Resource, Key)> {
    let api_version = owner["apiVersion"].as_str()?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let resource = registry::by_kind(group, owner["kind"].as_str()?)?;
    let namespace = if resource.namespaced { namespace } else { "" };
    Some((resource, Key::new(resource.id, namespace, owner["name"].as_str()?)))
}

/// How an owner stands.
enum Owner {
    Alive,
    Waiting,
    Gone,
}

fn stands(store: &Store, owner: &Value, namespace: &str) -> Owner {
    let Some((_, key)) = owner_key(owner, namespace) else { return Owner::Alive };
    let state = store.read();
    let Some(object) = state.get(&key) else {
        // A damaged owner is not a gone one.
        return if state.damaged.contains_key(&key) { Owner::Alive } else { Owner::Gone };
    };
    let deleting = object.deleting;
    let value = object.value();
    drop(state);
    if value["metadata"]["uid"] != owner["uid"] {
        return Owner::Gone;
    }
    let has =
        |name: &str| value["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|it| it == name));
    if deleting && has(FOREGROUND) { Owner::Waiting } else { Owner::Alive }
}

/// Deletes an object none of whose owners is left; takes the references to gone ones out of others.
async fn check_owners(store: &Store, key: &Key) -> Result<(), ApiError> {
    let Some(resource) = registry::by_id(key.resource).filter(|resource| resource.writable) else { return Ok(()) };
    let Some(object) = store.get(key) else { return Ok(()) };
    let value = object.value();
    let owners = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let (mut alive, mut waiting, mut gone) = (Vec::new(), 0, 0);
    for owner in &owners {
        match stands(store, owner, &key.namespace) {
            Owner::Alive => alive.push(owner.clone()),
            Owner::Waiting => waiting += 1,
            Owner::Gone => gone += 1,
        }
    }
    if waiting + gone == 0 {
        return Ok(());
    }
    if alive.is_empty() {
        if object.deleting {
            return Ok(());
        }
        let uid = value["metadata"]["uid"].as_str().map(str::to_owned);
        let has_dependents = uid.as_deref().is_some_and(|uid| !store.read().dependents(uid).is_empty());
        let foreground = waiting > 0 && has_dependents;
        let propagation = if foreground { Propagation::Foreground } else { Propagation::Background };
        let options = DeleteOptions { propagation, uid, ..DeleteOptions::default() };
        return verbs::delete(store, resource, key, &options).await.map(|_| ());
    }
    if gone > 0 {
        let patch = json!({ "metadata": { "ownerReferences": alive } });
        return patch_object(store, resource, key, patch).await;
    }
    Ok(())
}

/// Does what an object being deleted waits for, as far as that is ours to do.
async fn release(store: &Store, key: &Key) -> Result<(), ApiError> {
    let Some(resource) = registry::by_id(key.resource) else { return Ok(()) };
    let Some(object) = store.get(key).filter(|object| object.deleting) else { return Ok(()) };
    let value = object.value();
    let uid = value["metadata"]["uid"].as_str().unwrap_or("").to_owned();
    let finalizers = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let has = |name: &str| finalizers.iter().any(|it| it == name);
    if has(ORPHAN) {
        let dependents = store.read().dependents(&uid);
        for dependent in dependents {
            report(&dependent, let_go(store, &dependent, &uid).await);
        }
        return drop_finalizer(store, resource, key, &finalizers, ORPHAN).await;
    }
    if has(FOREGROUND) {
        let dependents = store.read().dependents(&uid);
        for dependent in &dependents {
            report(dependent, check_owners(store, dependent).await);
        }
        if blocking(store, &uid) {
            return Ok(());
        }
        return drop_finalizer(store, resource, key, &finalizers, FOREGROUND).await;
    }
    if key.resource == NAMESPACES {
        return empty_namespace(store, key, &object, finalizers.is_empty()).await;
    }
    Ok(())
}

/// Whether a dependent is left that its owner must wait for.
fn blocking(store: &Store, uid: &str) -> bool {
    let dependents = store.read().dependents(uid);
    dependents.iter().filter_map(|key| store.get(key)).any(|object| {
        let value = object.value();
        let owners = value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.filter(|owner| owner["uid"] == uid).any(|owner| owner["blockOwnerDeletion"] == true)
    })
}

async fn let_go(store: &Store, key: &Key, uid: &str) -> Result<(), ApiError> {
    let (Some(resource), Some(object)) = (registry::by_id(key.resource), store.get(key)) else { return Ok(()) };
    let mut owners = object.value()["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    owners.retain(|owner| owner["uid"] != uid);
    patch_object(store, resource, key, json!({ "metadata": { "ownerReferences": owners } })).await
}

async fn drop_finalizer(
    store: &Store,
    resource: &'static Resource,
    key: &Key,
    finalizers: &[Value],
    name: &str,
) -> Result<(), ApiError> {
    let left: Vec<&Value> = finalizers.iter().filter(|it| *it != name).collect();
    patch_object(store, resource, key, json!({ "metadata": { "finalizers": left } })).await
}

async fn patch_object(store: &Store, resource: &'static Resource, key: &Key, patch: Value) -> Result<(), ApiError> {
    let writing = Writing {
        target: target(resource, key),
        manager: "garbage-collector".to_owned(),
        validation: crate::admission::FieldValidation::Ignore,
        dry_run: false,
    };
    verbs::update(store, &writing, verbs::Change::Patch(patch, PatchKind::Merge)).await.map(|_| ())
}

fn target(resource: &'static Resource, key: &Key) -> Target {
    let namespace = resource.namespaced.then(|| key.namespace.to_string());
    Target { resource, namespace, name: Some(key.name.to_string()), subresource: None }
}

/// Deletes what is in a namespace, and the namespace itself once nothing is left.
async fn empty_namespace(store: &Store, key: &Key, object: &Object, free: bool) -> Result<(), ApiError> {
    let mut left = false;
    for resource in registry::all().iter().filter(|resource| resource.namespaced && resource.writable) {
        let keys: Vec<Key> = {
            let state = store.read();
            let range = Range::of(resource.id, Some(&key.name));
            let damaged = state.damaged.keys().filter(|key| range.contains(key)).count();
            left |= damaged > 0;
            state.range(&range).map(|(key, _)| key.clone()).collect()
        };
        for content in keys {
            let outcome = verbs::delete(store, resource, &content, &DeleteOptions::default()).await;
            report(&content, outcome.map(|_| ()));
            left |= store.get(&content).is_some();
        }
    }
    if left || !free {
        return Ok(());
    }
    match store.write(key.clone(), Op::Delete(object.rv)).await {
        // Changed: the change itself brings us here again.
        Ok(_) | Err(crate::storage::Refused::Changed | crate::storage::Refused::Missing) => Ok(()),
        Err(why) => match registry::by_id(NAMESPACES) {
            Some(namespaces) => Err(verbs::refused(why, namespaces, key)),
            None => Ok(()),
        },
    }
}

/// Deletes events no one has seen happen for a while, so that they do not fill the disk.
async fn sweep_events(store: &Store) {
    let Some(events) = registry::find("", "v1", "events") else { return };
    let oldest = Timestamp::now().as_second() - EVENT_SECONDS;
    let all: Vec<(Key, Arc<Object>)> = {
        let state = store.read();
        let range = Range::of(events.id, None);
        state.range(&range).map(|(key, object)| (key.clone(), object.clone())).collect()
    };
    for (key, object) in all {
        let value = object.value();
        let times = [&value["lastTimestamp"], &value["eventTime"], &value["metadata"]["creationTimestamp"]];
        let seen = times.into_iter().filter_map(Value::as_str).filter_map(|time| time.parse::<Timestamp>().ok());
        if seen.map(Timestamp::as_second).max().is_none_or(|seen| seen < oldest) {
            report(&key, verbs::delete(store, events, &key, &DeleteOptions::default()).await.map(|_| ()));
        }
    }
}
