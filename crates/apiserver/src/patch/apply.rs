//! Server-side apply: a manager says the fields it wants; what it no longer says, and no one else owns, goes away.

use serde_json::{Map, Value};

use super::fields::{self, FieldSet};
use super::managed::{self, Author};
use crate::shape::Shape;

/// A field someone else owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// Who owns it.
    pub(crate) manager: String,
    /// Its path, spelled for people.
    pub(crate) path: String,
    /// `using v1` and the like, as Kubernetes words it.
    pub(crate) using: String,
}

/// Applies what a manager wants onto an object (an empty one to create). `force` takes fields from other managers.
pub(crate) fn apply(
    live: &Value,
    wanted: &Value,
    shape: Shape<'_>,
    author: Author<'_>,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let wanted_fields = FieldSet::of(&managed::comparable(wanted), shape);
    let wanted_fields = FieldSet { here: false, ..wanted_fields };
    let mut entries = managed::read(live);
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|entry| !author.owns(entry, true)) {
        let contested = differing(&entry.fields.common(&wanted_fields), live, wanted);
        if contested.is_empty() {
            continue;
        }
        if force {
            entry.fields = entry.fields.without(&contested);
        } else {
            conflicts.extend(contested.paths().into_iter().map(|path| Conflict {
                manager: entry.manager.clone(),
                path,
                using: entry.api_version.clone(),
            }));
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let mut merged = merge(live, wanted, shape);
    let mine = entries.iter().position(|entry| author.owns(entry, true));
    if let Some(at) = mine {
        let mut dropped = entries[at].fields.without(&wanted_fields);
        for (other, entry) in entries.iter().enumerate() {
            if other != at {
                dropped = dropped.without(&entry.fields);
            }
        }
        let kept = entries.iter().enumerate().filter(|(other, _)| *other != at);
        let kept = kept.fold(wanted_fields.clone(), |all, (_, entry)| all.union(&entry.fields));
        remove(&mut merged, &dropped, &kept);
        if entries[at].fields != wanted_fields {
            entries[at].time = author.time.to_owned();
        }
        entries[at].fields = wanted_fields;
        entries[at].api_version = author.api_version.to_owned();
    } else {
        entries.push(author.entry(true, wanted_fields));
    }
    for entry in &mut entries {
        entry.fields = entry.fields.existing_in(&merged);
    }
    managed::write(&mut merged, &entries);
    Ok(merged)
}

/// The paths of a set at which two objects differ.
fn differing(set: &FieldSet, live: &Value, wanted: &Value) -> FieldSet {
    // The presence of a container or list item is shared without quarrel; only values differ.
    let here = set.here && set.below.is_empty() && live != wanted;
    let mut differing = FieldSet { here, ..FieldSet::default() };
    for (step, below) in &set.below {
        if let (Some(live), Some(wanted)) = (fields::child(live, step), fields::child(wanted, step)) {
            let below = self::differing(below, live, wanted);
            if !below.is_empty() {
                differing.below.insert(step.clone(), below);
            }
        }
    }
    differing
}

/// Puts what is wanted over what is there.
fn merge(live: &Value, wanted: &Value, shape: Shape<'_>) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) if !shape.is_atomic_map() => {
            let mut merged = live.clone();
            for (name, value) in wanted {
                let value = match live.get(name) {
                    Some(live) => merge(live, value, shape.field(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(wanted)) => match fields::steps(wanted, shape) {
            Some(steps) => Value::Array(merge_list(live, &steps, shape)),
            None => Value::Array(wanted.clone()),
        },
        _ => wanted.clone(),
    }
}

fn merge_list(live: &[Value], wanted: &[(String, &Value)], shape: Shape<'_>) -> Vec<Value> {
    let mut merged = live.to_vec();
    for (step, item) in wanted {
        match fields::position(&merged, step) {
            Some(at) => merged[at] = merge(&merged[at], item, shape.items()),
            None => merged.push((*item).clone()),
        }
    }
    merged
}

/// Takes dropped paths out of a value; a container that becomes empty goes too unless someone keeps it.
fn remove(value: &mut Value, dropped: &FieldSet, kept: &FieldSet) {
    let nothing = FieldSet::default();
    for (step, below) in &dropped.below {
        let kept_below = kept.below.get(step).unwrap_or(&nothing);
        match (step.strip_prefix("f:"), &mut *value) {
            (Some(name), Value::Object(map)) => {
                let Some(child) = map.get_mut(name) else { continue };
                if goes(child, below, kept_below) {
                    map.remove(name);
                }
            }
            (None, Value::Array(items)) => {
                let Some(at) = fields::position(items, step) else { continue };
                if goes(&mut items[at], below, kept_below) {
                    items.remove(at);
                }
            }
            _ => {}
        }
    }
}

/// Takes dropped paths out of a child and says whether the child itself goes.
fn goes(child: &mut Value, dropped: &FieldSet, kept: &FieldSet) -> bool {
    if dropped.here && kept.is_empty() {
        return true;
    }
    let had = !is_hollow(child);
    remove(child, dropped, kept);
    had && is_hollow(child) && kept.is_empty()
}

fn is_hollow(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
