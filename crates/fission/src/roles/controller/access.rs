//! What a caller may do, asked of the cluster with the caller's own token and remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::upstream::Upstream;

/// How long an answer counts: what a person notices of a right just given, and little against many requests.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most answers remembered.
const MOST: usize = 4096;
/// Bytes of an answer that are read; one Function with all its literals fits.
const MAX_ANSWER: usize = 4 << 20;

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wish {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) subresource: &'static str,
    /// Empty means in all namespaces.
    pub(super) namespace: String,
    /// Empty means any.
    pub(super) name: String,
}

impl Wish {
    /// A verb on a kind of users' objects in a namespace.
    pub(super) fn of_ours(verb: &'static str, resource: &'static str, namespace: &str) -> Self {
        let (group, namespace) = (fission_api::GROUP, namespace.to_owned());
        Self { verb, group, resource, subresource: "", namespace, name: String::new() }
    }
}

impl std::fmt::Display for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, group, resource, subresource, namespace, name } = self;
        write!(f, "{verb:?} on {resource}")?;
        for (mark, text) in [("/", subresource), (".", group)] {
            if !text.is_empty() {
                write!(f, "{mark}{text}")?;
            }
        }
        if !name.is_empty() {
            write!(f, " {name:?}")?;
        }
        match namespace.as_str() {
            "" => f.write_str(" in all namespaces"),
            namespace => write!(f, " in namespace {namespace:?}"),
        }
    }
}

/// What the cluster said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// The token is nobody's.
    Unknown,
}

/// A question that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    May(Wish),
    IsThere { namespace: String, function: String },
}

/// Asks, and remembers.
pub(super) struct Access {
    api: Upstream,
    remembered: Mutex<HashMap<(String, Asked), (Verdict, Instant)>>,
}

impl Access {
    /// Asks this API server.
    pub(super) fn new(api: Upstream) -> Self {
        Self { api, remembered: Mutex::default() }
    }

    /// Whether the owner of a token may do something.
    pub(super) async fn may(&self, token: &str, wish: &Wish) -> Result<Verdict, String> {
        let asked = Asked::May(wish.clone());
        if let Some(verdict) = self.remembered(token, &asked) {
            return Ok(verdict);
        }
        let Wish { verb, group, resource, subresource, namespace, name } = wish;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                "namespace": namespace, "name": name,
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let (status, answer) = self.ask(Method::POST, path, token, review.to_string()).await?;
        let verdict = match status {
            StatusCode::UNAUTHORIZED => Verdict::Unknown,
            StatusCode::FORBIDDEN => Verdict::No,
            _ => match answer["status"]["allowed"].as_bool() {
                Some(true) => Verdict::Yes,
                Some(false) => Verdict::No,
                None => return Err(format!("the API server answered a SelfSubjectAccessReview with {status}")),
            },
        };
        self.remember(token, asked, verdict);
        Ok(verdict)
    }

    /// Whether there is a function the owner of a token may see.
    pub(super) async fn sees(&self, token: &str, namespace: &str, function: &str) -> Result<Verdict, String> {
        let asked = Asked::IsThere { namespace: namespace.to_owned(), function: function.to_owned() };
        if let Some(verdict) = self.remembered(token, &asked) {
            return Ok(verdict);
        }
        let path = format!("/apis/fission.io/v1/namespaces/{namespace}/functions/{function}");
        let (status, _) = self.ask(Method::GET, &path, token, String::new()).await?;
        let verdict = match status {
            StatusCode::OK => Verdict::Yes,
            StatusCode::UNAUTHORIZED => Verdict::Unknown,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Verdict::No,
            _ => return Err(format!("the API server answered {status} for function {namespace}/{function}")),
        };
        self.remember(token, asked, verdict);
        Ok(verdict)
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: String) -> Result<(StatusCode, Value), String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let answer = self.api.pass(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
        Ok((status, serde_json::from_slice(&body.to_bytes()).unwrap_or_default()))
    }

    fn remembered(&self, token: &str, asked: &Asked) -> Option<Verdict> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (verdict, since) = remembered.get(&(token.to_owned(), asked.clone()))?;
        (since.elapsed() < REMEMBERED).then_some(*verdict)
    }

    fn remember(&self, token: &str, asked: Asked, verdict: Verdict) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST {
            remembered.retain(|_, (_, since)| since.elapsed() < REMEMBERED);
        }
        // Strangers' guesses must not fill the memory.
        if remembered.len() < MOST {
            remembered.insert((token.to_owned(), asked), (verdict, Instant::now()));
        }
    }
}
