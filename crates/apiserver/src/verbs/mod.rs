//! What clients can do, one file per verb.
//!
//! A write reads the object, computes the new version and asks the store to put it in the place of the version it was
//! computed from; when someone was faster it is computed again, unless the client named the version itself.

mod create;
mod delete;
mod list;
mod update;
mod watch;

use serde_json::Value;
use std::sync::Arc;

pub(crate) use self::create::create;
pub(crate) use self::delete::{
    DeleteOptions, Deleted, FOREGROUND, ORPHAN, Propagation, delete, delete_collection, discard,
};
pub(crate) use self::list::{Page, get, list};
pub(crate) use self::update::{Change, update};
pub(crate) use self::watch::{WatchOptions, watch};

use crate::admission::{Admission, FieldValidation};
use crate::http::path::Target;
use crate::registry::Resource;
use crate::status::{ApiError, Cause};
use crate::storage::{Key, Object, Refused, Store};

/// Times a write is computed again because someone was faster, before the client is told to try again itself.
pub(crate) const MAX_RETRIES: usize = 50;

/// A write as the verbs see it.
pub(crate) struct Writing {
    /// What it is about.
    pub(crate) target: Target,
    /// Who writes.
    pub(crate) manager: String,
    /// What to do about unknown fields.
    pub(crate) validation: FieldValidation,
    /// Whether to store nothing.
    pub(crate) dry_run: bool,
}

impl Writing {
    /// What admission needs to know.
    pub(crate) fn admission(&self) -> Admission<'_> {
        Admission {
            resource: self.target.resource,
            namespace: self.target.namespace(),
            manager: &self.manager,
            subresource: self.target.subresource.as_deref().unwrap_or(""),
            validation: self.validation,
        }
    }

    /// Where the object is kept.
    pub(crate) fn key(&self) -> Key {
        Key::new(self.target.resource.id, self.target.namespace(), self.target.name.as_deref().unwrap_or(""))
    }
}

/// What a write made.
pub(crate) struct Written {
    /// The object as stored, or as it would have been.
    pub(crate) object: Outcome,
    /// Whether it is new.
    pub(crate) created: bool,
    /// For the client's `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// An object on its way out.
pub(crate) enum Outcome {
    /// As it is stored.
    Stored(Arc<Object>),
    /// As it would have been stored.
    Dry(Value),
}

/// The object at a key, or why not.
pub(crate) fn live(store: &Store, resource: &Resource, key: &Key) -> Result<Arc<Object>, ApiError> {
    let state = store.read();
    if let Some(object) = state.get(key) {
        return Ok(object.clone());
    }
    match state.damaged.get(key) {
        Some(damage) => Err(damaged(resource, &key.name, &damage.why)),
        None => Err(ApiError::not_found(resource, &key.name)),
    }
}

/// 500, naming the object whose row is damaged.
pub(crate) fn damaged(resource: &Resource, name: &str, why: &str) -> ApiError {
    ApiError::internal(format!(
        "{} {name:?} is damaged on disk: {why}; restore the data folder from a copy, or delete the object and create it again",
        resource.qualified()
    ))
    .about(resource, name)
}

/// A refusal of the store, for the client.
pub(crate) fn refused(refused: Refused, resource: &Resource, key: &Key) -> ApiError {
    use http::StatusCode;
    match refused {
        Refused::Exists => ApiError::already_exists(resource, &key.name),
        Refused::Missing => ApiError::not_found(resource, &key.name),
        Refused::Changed => ApiError::modified(resource, &key.name),
        Refused::NoNamespace => match crate::registry::by_id(crate::registry::NAMESPACES) {
            Some(namespaces) => ApiError::not_found(namespaces, &key.namespace),
            None => ApiError::no_such_path(),
        },
        Refused::NamespaceEnding => {
            let why =
                format!("unable to create new content in namespace {} because it is being terminated", key.namespace);
            ApiError::forbidden(resource, &key.name, &why).with_causes(vec![Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {} is being terminated", key.namespace),
                field: "metadata.namespace".to_owned(),
            }])
        }
        Refused::Damaged(why) => damaged(resource, &key.name, &why),
        Refused::Full(why) => ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "InsufficientStorage",
            format!(
                "{} {:?} was not stored: the disk of the data folder is full ({why}); free some space and try again",
                resource.qualified(),
                key.name
            ),
        )
        .about(resource, &key.name),
        Refused::Failed(why) => {
            ApiError::internal(format!("{} {:?} was not stored: {why}", resource.qualified(), key.name))
                .about(resource, &key.name)
        }
        Refused::Stopped => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "the server is shutting down")
                .retry_after(1)
        }
    }
}
