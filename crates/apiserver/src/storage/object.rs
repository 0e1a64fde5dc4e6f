//! One stored object: its serialized bytes, ready to be sent, and the little that is asked about without parsing them.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::registry::ResourceId;

/// Where an object is kept. Ordered as lists are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Which resource.
    pub(crate) resource: ResourceId,
    /// Empty for cluster-scoped resources.
    pub(crate) namespace: Box<str>,
    /// Its name.
    pub(crate) name: Box<str>,
}

impl Key {
    /// A key from its parts.
    pub(crate) fn new(resource: ResourceId, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.into(), name: name.into() }
    }
}

/// An object of one version. Never changed: a new version is a new `Object`.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its resource version.
    pub(crate) rv: u64,
    /// Row in the database; 0 for objects that are only in memory.
    pub(crate) row: i64,
    /// The whole object as JSON, resource version included.
    pub(crate) bytes: Bytes,
    /// Labels, for selectors.
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// Uids of its owners, for garbage collection.
    pub(crate) owners: Box<[Box<str>]>,
    /// Whether a deletion waits for finalizers.
    pub(crate) deleting: bool,
    /// Where the digits of the resource version begin in `bytes`.
    rv_at: u32,
}

impl Object {
    /// The object as a tree.
    pub(crate) fn value(&self) -> Value {
        // The bytes were written by `Draft` from a tree, so they always parse.
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The same object under another resource version, as a deletion shows it.
    pub(crate) fn at(&self, rv: u64) -> Self {
        let start = self.rv_at as usize;
        let end = start + self.rv.to_string().len();
        let bytes = splice(&self.bytes[..start], rv, &self.bytes[end..]);
        Self {
            rv,
            row: self.row,
            bytes,
            labels: self.labels.clone(),
            owners: self.owners.clone(),
            deleting: self.deleting,
            rv_at: self.rv_at,
        }
    }
}

/// An object serialized up to its resource version, which only the writer knows.
///
/// All the work of serializing is done by the task that asks; the writer copies bytes.
#[derive(Debug)]
pub(crate) struct Draft {
    head: Vec<u8>,
    tail: Vec<u8>,
    labels: Box<[(Box<str>, Box<str>)]>,
    owners: Box<[Box<str>]>,
    deleting: bool,
}

impl Draft {
    /// Serializes a complete object. Its own resource version, if any, is left out.
    pub(crate) fn new(object: &Value) -> Self {
        let empty = Map::new();
        let top = object.as_object().unwrap_or(&empty);
        let mut meta = top.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        meta.remove("resourceVersion");
        let mut head = Vec::with_capacity(1024);
        head.push(b'{');
        for key in ["apiVersion", "kind"] {
            if let Some(value) = top.get(key) {
                member(&mut head, key, value);
                head.push(b',');
            }
        }
        head.extend_from_slice(b"\"metadata\":{");
        for (key, value) in &meta {
            member(&mut head, key, value);
            head.push(b',');
        }
        head.extend_from_slice(b"\"resourceVersion\":\"");
        let mut tail = Vec::with_capacity(1024);
        tail.extend_from_slice(b"\"}");
        for (key, value) in top.iter().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata")) {
            tail.push(b',');
            member(&mut tail, key, value);
        }
        tail.push(b'}');
        Self {
            head,
            tail,
            labels: labels(&meta),
            owners: owners(&meta),
            deleting: meta.contains_key("deletionTimestamp"),
        }
    }

    /// The object under its resource version.
    pub(crate) fn seal(self, rv: u64, row: i64) -> Object {
        Object {
            rv,
            row,
            bytes: splice(&self.head, rv, &self.tail),
            labels: self.labels,
            owners: self.owners,
            deleting: self.deleting,
            rv_at: u32::try_from(self.head.len()).unwrap_or(u32::MAX),
        }
    }
}

fn splice(head: &[u8], rv: u64, tail: &[u8]) -> Bytes {
    let digits = rv.to_string();
    let mut bytes = Vec::with_capacity(head.len() + digits.len() + tail.len());
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(digits.as_bytes());
    bytes.extend_from_slice(tail);
    bytes.into()
}

fn member(out: &mut Vec<u8>, key: &str, value: &Value) {
    // Writing JSON into memory cannot fail: keys are strings and a `Value` holds no NaN.
    let _ = serde_json::to_writer(&mut *out, key);
    out.push(b':');
    let _ = serde_json::to_writer(&mut *out, value);
}

fn labels(meta: &Map<String, Value>) -> Box<[(Box<str>, Box<str>)]> {
    let labels = meta.get("labels").and_then(Value::as_object);
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or("").into()))
        .collect()
}

fn owners(meta: &Map<String, Value>) -> Box<[Box<str>]> {
    let owners = meta.get("ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().filter_map(|owner| owner["uid"].as_str()).map(Into::into).collect()
}
