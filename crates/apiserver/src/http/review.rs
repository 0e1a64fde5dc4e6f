//! Questions about what one may do. Whoever reaches this server may do everything, so the answer is yes.

use serde_json::{Value, json};

use crate::status::ApiError;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Review {
    /// May I do this?
    Access,
    /// What may I do?
    Rules,
    /// Who am I?
    Subject,
}

/// The name of the only user there is.
const USER: &str = "fission-admin";

/// The question a path asks.
pub(crate) fn kind(path: &str) -> Option<Review> {
    match path.trim_end_matches('/') {
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => Some(Review::Access),
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews" => Some(Review::Rules),
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" => Some(Review::Subject),
        _ => None,
    }
}

/// The question with its answer in `status`.
pub(crate) fn answer(review: Review, mut asked: Value) -> Result<Value, ApiError> {
    if !asked.is_object() {
        return Err(ApiError::bad_request("the body of the request must be an object"));
    }
    let (group, kind, status) = match review {
        Review::Access => (
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
            json!({ "allowed": true, "reason": "this server has one user, who may do everything" }),
        ),
        Review::Rules => (
            "authorization.k8s.io/v1",
            "SelfSubjectRulesReview",
            json!({
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
                "incomplete": false,
            }),
        ),
        Review::Subject => (
            "authentication.k8s.io/v1",
            "SelfSubjectReview",
            json!({ "userInfo": { "username": USER, "groups": ["system:masters", "system:authenticated"] } }),
        ),
    };
    asked["apiVersion"] = group.into();
    asked["kind"] = kind.into();
    asked["status"] = status;
    Ok(asked)
}
