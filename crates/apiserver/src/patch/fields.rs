//! Sets of field paths, as `metadata.managedFields` records who owns what.
//!
//! A set is a tree. Steps are spelled as on the wire: `f:name` a field, `k:{"name":"x"}` an item of a keyed list,
//! `v:"x"` an item of a set.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::shape::{ListKind, Shape};

/// A set of field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether this very place is in the set.
    pub(crate) here: bool,
    /// Places below it.
    pub(crate) below: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.below.is_empty()
    }

    /// Every path a value sets: leaves, empty containers, and the items of keyed lists themselves.
    pub(crate) fn of(value: &Value, shape: Shape<'_>) -> Self {
        let mut set = Self::default();
        match value {
            Value::Object(map) if !map.is_empty() && !shape.is_atomic_map() => {
                for (name, value) in map {
                    set.below.insert(format!("f:{name}"), Self::of(value, shape.field(name)));
                }
            }
            Value::Array(items) if !items.is_empty() => match steps(items, shape) {
                Some(steps) => {
                    for (step, item) in steps {
                        let mut below = Self::of(item, shape.items());
                        below.here = true;
                        set.below.insert(step, below);
                    }
                }
                None => set.here = true,
            },
            _ => set.here = true,
        }
        set
    }

    /// The paths at which `after` differs from `before`: what an update took possession of.
    pub(crate) fn changed(before: Option<&Value>, after: &Value, shape: Shape<'_>) -> Self {
        let Some(before) = before else {
            let mut set = Self::of(after, shape);
            // A container that is new is owned too, so that it is not pruned while its maker wants it.
            set.here = set.here || after.is_object();
            return set;
        };
        if before == after {
            return Self::default();
        }
        let mut set = Self::default();
        match (before, after) {
            (Value::Object(old), Value::Object(new)) if !shape.is_atomic_map() && !new.is_empty() => {
                for (name, value) in new {
                    let below = Self::changed(old.get(name), value, shape.field(name));
                    set.insert(format!("f:{name}"), below);
                }
            }
            (Value::Array(old), Value::Array(new)) => match steps(new, shape) {
                Some(steps) if !new.is_empty() => {
                    for (step, item) in steps {
                        let below = match find(old, &step) {
                            Some(old) => Self::changed(Some(old), item, shape.items()),
                            None => Self { here: true, ..Self::of(item, shape.items()) },
                        };
                        set.insert(step, below);
                    }
                }
                _ => set.here = true,
            },
            _ => set = Self::of(after, shape),
        }
        set
    }

    fn insert(&mut self, step: String, below: FieldSet) {
        if !below.is_empty() {
            self.below.insert(step, below);
        }
    }

    /// What is in either.
    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.here |= other.here;
        for (step, below) in &other.below {
            let mine = self.below.remove(step).unwrap_or_default();
            self.below.insert(step.clone(), mine.union(below));
        }
        self
    }

    /// What is in this one and not in the other.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut set = Self { here: self.here && !other.here, below: BTreeMap::new() };
        for (step, below) in &self.below {
            let left = match other.below.get(step) {
                Some(other) => below.without(other),
                None => below.clone(),
            };
            set.insert(step.clone(), left);
        }
        set
    }

    /// What is in both.
    pub(crate) fn common(&self, other: &Self) -> Self {
        let mut set = Self { here: self.here && other.here, below: BTreeMap::new() };
        for (step, below) in &self.below {
            if let Some(other) = other.below.get(step) {
                set.insert(step.clone(), below.common(other));
            }
        }
        set
    }

    /// Keeps only what leads to something that exists in a value.
    pub(crate) fn existing_in(&self, value: &Value) -> Self {
        let mut set = Self { here: self.here, below: BTreeMap::new() };
        for (step, below) in &self.below {
            if let Some(value) = child(value, step) {
                set.insert(step.clone(), below.existing_in(value));
            }
        }
        set
    }

    /// Every path in it, spelled for people: `.spec.env[name="A"].value`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.spell("", &mut paths);
        paths
    }

    fn spell(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.here {
            paths.push(prefix.to_owned());
        }
        for (step, below) in &self.below {
            below.spell(&format!("{prefix}{}", spelled(step)), paths);
        }
    }

    /// As it is written in `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.here && !self.below.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        map.extend(self.below.iter().map(|(step, below)| (step.clone(), below.to_json())));
        Value::Object(map)
    }

    /// Reads `fieldsV1`. What is not of that form is an empty set.
    pub(crate) fn from_json(json: &Value) -> Self {
        let mut set = Self::default();
        let Some(map) = json.as_object() else { return set };
        set.here = map.is_empty() || map.contains_key(".");
        for (step, below) in map.iter().filter(|(step, _)| *step != ".") {
            set.below.insert(step.clone(), Self::from_json(below));
        }
        set
    }
}

fn spelled(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => step.to_owned(),
    }
}

/// The step of each item of a list that merges; `None` when the list is one value, or its items lack their keys.
pub(crate) fn steps<'a>(items: &'a [Value], shape: Shape<'_>) -> Option<Vec<(String, &'a Value)>> {
    match shape.list_kind() {
        ListKind::Atomic => None,
        ListKind::Set => Some(items.iter().map(|item| (format!("v:{item}"), item)).collect()),
        ListKind::Map(keys) => {
            let step = |item: &'a Value| {
                let key: Map<String, Value> =
                    keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
                (!key.is_empty()).then(|| (format!("k:{}", Value::Object(key)), item))
            };
            items.iter().map(step).collect()
        }
    }
}

/// The item a step leads to.
pub(crate) fn find<'a>(items: &'a [Value], step: &str) -> Option<&'a Value> {
    items.get(position(items, step)?)
}

/// Where the item of a step is.
pub(crate) fn position(items: &[Value], step: &str) -> Option<usize> {
    match step.split_once(':')? {
        ("k", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            items.iter().position(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
        }
        ("v", value) => {
            let value: Value = serde_json::from_str(value).ok()?;
            items.iter().position(|item| *item == value)
        }
        _ => None,
    }
}

/// What a step leads to.
pub(crate) fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match step.strip_prefix("f:") {
        Some(name) => value.get(name),
        None => find(value.as_array()?, step),
    }
}
