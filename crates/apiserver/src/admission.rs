//! What happens to an object between the request and the store: pruning, defaults, metadata, validation.

use fission_api::{FieldError, Problem};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::names;
use crate::patch::managed::{self, Author};
use crate::registry::{CRDS, Resource};
use crate::shape::{self, Shape};
use crate::status::{ApiError, Cause};

/// What to do about fields the schema does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Say nothing.
    Ignore,
    /// Answer with a warning; the default of Kubernetes.
    #[default]
    Warn,
    /// Refuse.
    Strict,
}

/// The part of a request that admission looks at.
pub(crate) struct Admission<'a> {
    /// What the object is.
    pub(crate) resource: &'static Resource,
    /// Namespace of the request; empty for cluster-scoped resources.
    pub(crate) namespace: &'a str,
    /// Who writes.
    pub(crate) manager: &'a str,
    /// Empty or `status`.
    pub(crate) subresource: &'a str,
    /// What to do about unknown fields.
    pub(crate) validation: FieldValidation,
}

/// The time now, as Kubernetes writes it.
pub(crate) fn now() -> String {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string()
}

impl Admission<'_> {
    /// Takes unknown fields out. The paths of those found are warnings, or the reason to refuse.
    pub(crate) fn prune(&self, object: &mut Value, warnings: &mut Vec<String>) -> Result<(), ApiError> {
        let unknown = shape::prune(object, &self.resource.shape);
        if unknown.is_empty() {
            return Ok(());
        }
        let words: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        match self.validation {
            FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                warnings.extend(words);
                Ok(())
            }
            FieldValidation::Strict => {
                let kind = self.resource.kind;
                let why = format!(
                    "{kind} in version {:?} cannot be handled as a {kind}: strict decoding error: {}",
                    self.resource.version,
                    words.join(", ")
                );
                Err(ApiError::bad_request(why))
            }
        }
    }

    /// Checks that a body is of the kind and namespace its request names, and fills both in.
    pub(crate) fn identify(&self, object: &mut Value) -> Result<(), ApiError> {
        let resource = self.resource;
        let Some(top) = object.as_object_mut() else {
            return Err(ApiError::bad_request("the body of the request must be an object"));
        };
        let (api_version, kind) = (resource.api_version.as_str(), resource.kind);
        for (field, wanted) in [("apiVersion", api_version), ("kind", kind)] {
            match top.get(field).map(|value| value.as_str().unwrap_or("")) {
                None | Some("") => {}
                Some(given) if given == wanted => {}
                Some(given) => {
                    let why = format!(
                        "the object provided is unrecognized (must be of type {kind}): {field} is {given:?} and must be {wanted:?}"
                    );
                    return Err(ApiError::bad_request(why));
                }
            }
            top.insert(field.to_owned(), wanted.into());
        }
        let meta = top.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if meta.is_null() {
            *meta = json!({});
        }
        let Some(meta) = meta.as_object_mut() else {
            return Err(ApiError::bad_request("metadata must be an object"));
        };
        // Go clients send null for what they do not set.
        meta.retain(|_, value| !value.is_null());
        let given = meta.get("namespace").and_then(Value::as_str).unwrap_or("");
        if !given.is_empty() && given != self.namespace {
            return Err(ApiError::bad_request(format!(
                "the namespace of the provided object does not match the namespace sent on the request: {given:?} and {:?}",
                self.namespace
            )));
        }
        if resource.namespaced {
            meta.insert("namespace".to_owned(), self.namespace.into());
        } else {
            meta.remove("namespace");
        }
        Ok(())
    }

    /// Makes a new object ready to be stored.
    pub(crate) fn create(&self, object: &mut Value, applied: bool) -> Result<(), ApiError> {
        let time = now();
        let meta = metadata(object);
        for server_set in ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            meta.remove(server_set);
        }
        if meta.get("name").and_then(Value::as_str).unwrap_or("").is_empty()
            && let Some(prefix) = meta.get("generateName").and_then(Value::as_str)
        {
            let name = names::generate(prefix);
            meta.insert("name".to_owned(), name.into());
        }
        meta.insert("uid".to_owned(), uuid::Uuid::new_v4().to_string().into());
        meta.insert("creationTimestamp".to_owned(), time.as_str().into());
        meta.remove("generation");
        if self.resource.has_generation {
            meta.insert("generation".to_owned(), 1.into());
        }
        if self.resource.has_status
            && let Some(top) = object.as_object_mut()
        {
            top.remove("status");
        }
        (self.resource.default)(object);
        self.validate(object, None)?;
        if !applied {
            managed::record_update(None, object, Shape::of(&self.resource.shape), self.author(&time));
        }
        Ok(())
    }

    /// Makes a changed object ready to be stored. `None` when nothing would change.
    pub(crate) fn update(&self, live: &Value, mut object: Value, applied: bool) -> Result<Option<Value>, ApiError> {
        let resource = self.resource;
        self.keep_server_fields(live, &mut object);
        if resource.id == CRDS {
            object["spec"] = live["spec"].clone();
        }
        (resource.default)(&mut object);
        if resource.has_generation && self.subresource.is_empty() && wanted(resource, live) != wanted(resource, &object)
        {
            let next = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = next.into();
        }
        if applied {
            if same(live, &object) {
                return Ok(None);
            }
        } else {
            let meta = metadata(&mut object);
            match meta.get("managedFields") {
                // An empty list asks for them to be forgotten; other lists are taken as they are, which is how clients
                // move fields from one manager to another.
                Some(Value::Array(given)) if given.is_empty() || given[0] == json!({}) => {
                    meta.remove("managedFields");
                }
                Some(Value::Array(_)) => {}
                _ => match live["metadata"].get("managedFields") {
                    Some(kept) => {
                        meta.insert("managedFields".to_owned(), kept.clone());
                    }
                    None => {
                        meta.remove("managedFields");
                    }
                },
            }
            if same(live, &object) {
                return Ok(None);
            }
        }
        self.validate(&object, Some(live))?;
        if !applied {
            managed::record_update(Some(live), &mut object, Shape::of(&resource.shape), self.author(&now()));
        }
        Ok(Some(object))
    }

    /// What clients cannot change: it is taken from the live object. The other side of a subresource too.
    fn keep_server_fields(&self, live: &Value, object: &mut Value) {
        if self.subresource == "status" {
            let status = object.get("status").cloned();
            let fields = object["metadata"]["managedFields"].take();
            *object = live.clone();
            match status {
                Some(status) if !status.is_null() => object["status"] = status,
                _ => {
                    object.as_object_mut().map(|top| top.remove("status"));
                }
            }
            if !fields.is_null() {
                object["metadata"]["managedFields"] = fields;
            }
            return;
        }
        if self.resource.has_status
            && let Some(top) = object.as_object_mut()
        {
            match live.get("status") {
                Some(status) => top.insert("status".to_owned(), status.clone()),
                None => top.remove("status"),
            };
        }
        let meta = metadata(object);
        meta.remove("selfLink");
        for server_set in [
            "uid",
            "name",
            "namespace",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "generateName",
            "resourceVersion",
        ] {
            match live["metadata"].get(server_set) {
                Some(value) => meta.insert(server_set.to_owned(), value.clone()),
                None => meta.remove(server_set),
            };
        }
    }

    /// Everything wrong with an object, as one error.
    fn validate(&self, object: &Value, live: Option<&Value>) -> Result<(), ApiError> {
        let mut errors = names::check_metadata(object, self.resource);
        if let Some(live) = live.filter(|live| !live["metadata"]["deletionTimestamp"].is_null()) {
            let old = live["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            let new = object["metadata"]["finalizers"].as_array().into_iter().flatten();
            let added: Vec<String> = new.filter(|it| !old.contains(it)).map(Value::to_string).collect();
            if !added.is_empty() {
                errors.push(FieldError {
                    path: "metadata.finalizers".to_owned(),
                    problem: Problem::Forbidden,
                    value: String::new(),
                    detail: format!(
                        "no new finalizers can be added if the object is being deleted, found new finalizers {}",
                        added.join(", ")
                    ),
                });
            }
        }
        errors.extend((self.resource.validate)(object, live));
        if errors.is_empty() {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        Err(ApiError::invalid(self.resource, &name, errors.into_iter().map(Cause::from).collect()))
    }

    /// The author of this request's changes.
    pub(crate) fn author<'b>(&'b self, time: &'b str) -> Author<'b> {
        Author { manager: self.manager, subresource: self.subresource, api_version: &self.resource.api_version, time }
    }
}

/// The metadata of an object that has been identified.
fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    match &mut object["metadata"] {
        Value::Object(meta) => meta,
        _ => unreachable!("made an object just above"),
    }
}

/// The part of an object whose changes `metadata.generation` counts.
fn wanted(resource: &Resource, object: &Value) -> Value {
    let mut wanted = object.clone();
    if let Some(top) = wanted.as_object_mut() {
        top.remove("metadata");
        if resource.has_status {
            top.remove("status");
        }
    }
    wanted
}

/// Whether two versions say the same; when someone last said it does not matter.
fn same(live: &Value, object: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        object
    };
    timeless(live) == timeless(object)
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
