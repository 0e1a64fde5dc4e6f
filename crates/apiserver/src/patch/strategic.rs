//! Strategic merge patch, for the kinds of Kubernetes itself: maps merge, lists merge by key where the schema says so.

use serde_json::{Map, Value};

use super::fields;
use crate::shape::{ListKind, Shape};

/// A patch that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unclear(pub(crate) String);

/// Applies a patch.
pub(crate) fn merge(value: &mut Value, patch: &Value, shape: Shape<'_>) -> Result<(), Unclear> {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return Ok(());
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *value = Value::Object(without_directives(patch));
            return Ok(());
        }
        Some("delete") => {
            *value = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Unclear(format!("unknown $patch directive {other:?}"))),
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(map) = value.as_object_mut() else { return Ok(()) };
    if let Some(keys) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|name, _| keys.iter().any(|key| key == name));
    }
    for (name, change) in patch {
        if let Some(name) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (map.get_mut(name), change) {
                items.retain(|item| !gone.contains(item));
            }
        } else if name.starts_with('$') {
            continue;
        } else if change.is_null() {
            map.remove(name);
        } else {
            let slot = map.entry(name.clone()).or_insert(Value::Null);
            member(slot, change, shape.field(name))?;
        }
    }
    Ok(())
}

fn member(slot: &mut Value, change: &Value, shape: Shape<'_>) -> Result<(), Unclear> {
    let Value::Array(changes) = change else { return merge(slot, change, shape) };
    let mut items = slot.as_array().cloned().unwrap_or_default();
    match shape.list_kind() {
        ListKind::Atomic => items = changes.iter().map(plain).collect(),
        ListKind::Set => {
            for change in changes {
                if !items.contains(change) {
                    items.push(change.clone());
                }
            }
        }
        ListKind::Map(keys) => {
            if changes.iter().any(|change| change["$patch"] == "replace") {
                items.clear();
            }
            for change in changes {
                keyed(&mut items, change, &keys, shape)?;
            }
        }
    }
    *slot = Value::Array(items);
    Ok(())
}

fn keyed(items: &mut Vec<Value>, change: &Value, keys: &[String], shape: Shape<'_>) -> Result<(), Unclear> {
    let key: Map<String, Value> = keys.iter().filter_map(|key| Some((key.clone(), change.get(key)?.clone()))).collect();
    if key.is_empty() {
        if change["$patch"] == "replace" {
            return Ok(());
        }
        return Err(Unclear(format!("an item of a merged list does not have its key {:?}", keys.join(", "))));
    }
    let at = fields::position(items, &format!("k:{}", Value::Object(key)));
    match (change["$patch"].as_str(), at) {
        (Some("delete"), Some(at)) => {
            items.remove(at);
        }
        (Some("delete"), None) => {}
        (_, Some(at)) => merge(&mut items[at], change, shape.items())?,
        (_, None) => items.push(plain(change)),
    }
    Ok(())
}

/// A value from a patch without the patch's own directives.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_directives(map)),
        other => other.clone(),
    }
}

fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    let members = map.iter().filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    members.map(|(name, value)| (name.clone(), plain(value))).collect()
}

#[cfg(test)]
#[path = "strategic_tests.rs"]
mod tests;
