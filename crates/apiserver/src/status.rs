//! Every error a client sees, as a Kubernetes `Status` object.

use http::StatusCode;
use serde_json::{Value, json};

use crate::registry::Resource;

/// An error answer: becomes a `Status` with reason, code and details.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) code: StatusCode,
    /// Machine-readable reason, in the words of Kubernetes.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
    details: Box<Details>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Details {
    name: String,
    group: String,
    kind: String,
    retry_after_seconds: u32,
    causes: Vec<Cause>,
}

/// One cause in a `Status`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    /// Machine-readable reason of this cause.
    pub(crate) reason: String,
    /// For people.
    pub(crate) message: String,
    /// Field path, if it is about one.
    pub(crate) field: String,
}

impl From<fission_api::FieldError> for Cause {
    fn from(error: fission_api::FieldError) -> Self {
        Cause { reason: error.problem.reason().to_owned(), message: error.words(), field: error.path }
    }
}

impl ApiError {
    /// An error with no details.
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Box::default() }
    }

    /// 400: the request cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 404 for a path nothing is served at.
    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    /// 404 for an object that does not exist.
    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(resource, name)
    }

    /// 409 for a create of an object that exists.
    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(resource, name)
    }

    /// 409 for a write based on an old version.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 with its own words.
    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(resource, name)
    }

    /// 403: understood, and not allowed.
    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", resource.qualified());
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(resource, name)
    }

    /// 405: this resource never does that.
    pub(crate) fn method_not_allowed(resource: &Resource, why: &str) -> Self {
        let message = format!("the server does not allow this method on the requested resource: {why}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about(resource, "")
    }

    /// 410: the version asked for is no longer known.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 422: the object is understood and wrong; one cause per problem.
    pub(crate) fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let kind = match resource.group {
            "" => resource.kind.to_owned(),
            group => format!("{}.{group}", resource.kind),
        };
        let problems = causes.iter().map(|cause| (cause.field.as_str(), cause.message.as_str()));
        let message = fission_api::field_error::refusal(&kind, name, problems);
        let mut error =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(resource, name).with_causes(causes);
        error.details.kind = resource.kind.to_owned();
        error
    }

    /// 500: our fault, or the disk's.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Names the object it is about.
    pub(crate) fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details.name = name.to_owned();
        self.details.group = resource.group.to_owned();
        self.details.kind = resource.plural.to_owned();
        self
    }

    /// Adds causes.
    pub(crate) fn with_causes(mut self, causes: Vec<Cause>) -> Self {
        self.details.causes = causes;
        self
    }

    /// Says when trying again makes sense.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.details.retry_after_seconds = seconds;
        self
    }

    /// The `Status` object.
    pub(crate) fn to_json(&self) -> Value {
        let mut details = serde_json::Map::new();
        for (key, text) in [("name", &self.details.name), ("group", &self.details.group), ("kind", &self.details.kind)]
        {
            if !text.is_empty() {
                details.insert(key.to_owned(), text.as_str().into());
            }
        }
        if self.details.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".to_owned(), self.details.retry_after_seconds.into());
        }
        if !self.details.causes.is_empty() {
            let causes = self.details.causes.iter().map(|cause| {
                let mut json = json!({ "reason": cause.reason, "message": cause.message });
                if !cause.field.is_empty() {
                    json["field"] = cause.field.as_str().into();
                }
                json
            });
            details.insert("causes".to_owned(), causes.collect());
        }
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": details, "code": self.code.as_u16(),
        })
    }
}

/// The answer to a delete that took an object away at once.
pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": { "name": name, "group": resource.group, "kind": resource.plural, "uid": uid },
    })
}

/// The answer to an operation with nothing else to say.
pub(crate) fn success() -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" })
}
