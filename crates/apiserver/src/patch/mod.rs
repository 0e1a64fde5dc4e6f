//! Changing an object by a patch: JSON patch, merge patch, strategic merge patch, server-side apply.
//!
//! Everything here is data in, data out. Start reading in [`apply`].

pub(crate) mod apply;
pub(crate) mod fields;
pub(crate) mod managed;
pub(crate) mod strategic;

use http::StatusCode;
use json_patch::PatchOperation;
use serde_json::Value;

use crate::registry::Resource;
use crate::shape::Shape;
use crate::status::ApiError;

/// Operations one JSON patch may have; the limit of Kubernetes.
const MAX_OPERATIONS: usize = 10_000;
/// Copies one JSON patch may make: each can double the object.
const MAX_COPIES: usize = 100;

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

impl PatchKind {
    /// The kind of a content type.
    pub(crate) fn from_content_type(content_type: &str, resource: &Resource) -> Result<Self, ApiError> {
        let known = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        match content_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if resource.core => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            other => Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: {known} (it was {other:?})"
                ),
            )),
        }
    }
}

/// Applies a patch that is not a server-side apply to an object.
pub(crate) fn change(live: &Value, patch: &Value, kind: PatchKind, resource: &Resource) -> Result<Value, ApiError> {
    let mut object = live.clone();
    match kind {
        PatchKind::Json => json(&mut object, patch)?,
        PatchKind::Merge | PatchKind::Apply => {
            if !patch.is_object() {
                return Err(ApiError::bad_request("a merge patch must be an object"));
            }
            json_patch::merge(&mut object, patch);
        }
        PatchKind::Strategic => strategic::merge(&mut object, patch, Shape::of(&resource.shape))
            .map_err(|error| ApiError::bad_request(format!("invalid strategic merge patch: {}", error.0)))?,
    }
    Ok(object)
}

fn json(object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let operations: Vec<PatchOperation> = serde_json::from_value(patch.clone())
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let copies = operations.iter().filter(|operation| matches!(operation, PatchOperation::Copy(_))).count();
    if operations.len() > MAX_OPERATIONS || copies > MAX_COPIES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!(
                "a JSON patch may have {MAX_OPERATIONS} operations, {MAX_COPIES} of them copies; this one has {} and {copies}",
                operations.len()
            ),
        ));
    }
    for (at, operation) in operations.iter().enumerate() {
        json_patch::patch_unsafe(object, std::slice::from_ref(operation)).map_err(|error| {
            let message = format!(
                "the server rejected our request due to an error in our request: operation {at} at {:?}: {}",
                error.path.as_str(),
                error.kind
            );
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
        })?;
        if matches!(operation, PatchOperation::Copy(_)) && object.to_string().len() > crate::http::MAX_BODY_BYTES {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                format!(
                    "the copies of this JSON patch make the object larger than {} bytes",
                    crate::http::MAX_BODY_BYTES
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
