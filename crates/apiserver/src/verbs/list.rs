//! Get and list, from memory.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Value, json};

use super::live;
use crate::http::path::Target;
use crate::http::query::Query;
use crate::selectors::Selectors;
use crate::status::{ApiError, Cause};
use crate::storage::{Key, Object, Range, State, Store};

/// Which version a read wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// `resourceVersion`; `None` and 0 both mean "what there is".
    pub(crate) version: Option<u64>,
    /// Exactly that version rather than that or a later one.
    pub(crate) exact: bool,
}

impl Versions {
    /// Reads `resourceVersion` and `resourceVersionMatch`.
    pub(crate) fn read(query: &Query, limited: bool) -> Result<Self, ApiError> {
        let version = query.number("resourceVersion")?;
        let exact = match (query.get("resourceVersionMatch"), version) {
            (None, Some(version)) => limited && version > 0,
            (None, None) => false,
            (Some(_), None) => {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                return Err(ApiError::bad_request(why));
            }
            (Some("NotOlderThan"), _) => false,
            (Some("Exact"), Some(0)) => {
                let why = "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"";
                return Err(ApiError::bad_request(why));
            }
            (Some("Exact"), _) => true,
            (Some(other), _) => {
                let why = format!("resourceVersionMatch must be Exact or NotOlderThan; it is {other:?}");
                return Err(ApiError::bad_request(why));
            }
        };
        Ok(Self { version, exact })
    }

    /// Refuses a version that has not happened yet.
    fn check(&self, current: u64) -> Result<(), ApiError> {
        match self.version {
            Some(version) if version > current => {
                let message = format!("Too large resource version: {version}, current: {current}");
                let cause = Cause {
                    reason: "ResourceVersionTooLarge".to_owned(),
                    message: "Too large resource version".to_owned(),
                    field: String::new(),
                };
                Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
                    .with_causes(vec![cause])
                    .retry_after(1))
            }
            _ => Ok(()),
        }
    }
}

/// One page of a list.
pub(crate) struct Page {
    /// The version it is of.
    pub(crate) rv: u64,
    /// What is on it.
    pub(crate) items: Vec<Arc<Object>>,
    /// How to ask for the next page.
    pub(crate) next: Option<String>,
    /// How many are on later pages, when that is known.
    pub(crate) remaining: Option<usize>,
    /// Damaged objects that belong in the list and cannot be shown.
    pub(crate) damaged: Vec<String>,
}

/// One object.
pub(crate) fn get(store: &Store, target: &Target, query: &Query) -> Result<Arc<Object>, ApiError> {
    Versions { version: query.number("resourceVersion")?, exact: false }.check(store.read().rv)?;
    let key = Key::new(target.resource.id, target.namespace(), target.name.as_deref().unwrap_or(""));
    live(store, target.resource, &key)
}

/// A page of objects.
pub(crate) fn list(store: &Store, target: &Target, query: &Query, selectors: &Selectors) -> Result<Page, ApiError> {
    let limit = query.number("limit")?.filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok());
    let versions = Versions::read(query, limit.is_some())?;
    let mut range = Range::of(target.resource.id, target.namespace.as_deref());
    let state = store.read();
    versions.check(state.rv)?;
    let mut rv = state.rv;
    if let Some(token) = query.get("continue") {
        if versions.version.is_some_and(|version| version > 0) {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let (version, namespace, name) = read_token(token)?;
        rv = version;
        range.after = Some((namespace, name));
    } else if versions.exact {
        rv = versions.version.unwrap_or(rv);
    }
    let mut page = if rv == state.rv {
        fill(state.range(&range), rv, limit, selectors)
    } else {
        let then = state.range_at(&range, rv).map_err(|too_old| {
            ApiError::expired(format!(
                "The provided continue parameter is too old to display a consistent list result: version {rv} is asked \
                 for and {} is the oldest kept. Start a new list without the continue parameter.",
                too_old.oldest
            ))
        })?;
        fill(then.iter(), rv, limit, selectors)
    };
    page.damaged = damaged(&state, &range);
    Ok(page)
}

fn fill<'a>(
    objects: impl Iterator<Item = (&'a Key, &'a Arc<Object>)>,
    rv: u64,
    limit: Option<usize>,
    selectors: &Selectors,
) -> Page {
    let mut page = Page { rv, items: Vec::new(), next: None, remaining: None, damaged: Vec::new() };
    let mut last: Option<&Key> = None;
    let mut objects = objects.filter(|(key, object)| selectors.matches(key, object));
    for (key, object) in objects.by_ref() {
        if limit.is_some_and(|limit| page.items.len() == limit) {
            page.next = last.map(|last| token(rv, last));
            // Counting is only exact, and only promised by Kubernetes, when nothing is selected.
            page.remaining = selectors.is_empty().then(|| 1 + objects.count());
            break;
        }
        last = Some(key);
        page.items.push(object.clone());
    }
    page
}

fn damaged(state: &State, range: &Range) -> Vec<String> {
    let hits = state.damaged.iter().filter(|(key, _)| range.contains(key));
    hits.map(|(key, damage)| format!("{}/{}: {}", key.namespace, key.name, damage.why)).collect()
}

/// A continue token: the version of the list, and the last object shown.
fn token(rv: u64, last: &Key) -> String {
    let start = format!("{}/{}", last.namespace, last.name);
    BASE64.encode(json!({ "v": "meta.k8s.io/v1", "rv": rv, "start": start }).to_string())
}

fn read_token(token: &str) -> Result<(u64, Box<str>, Box<str>), ApiError> {
    let invalid = || ApiError::bad_request(format!("continue key is not valid: {token:?}"));
    let json: Value =
        BASE64.decode(token).ok().and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(invalid)?;
    let rv = json["rv"].as_u64().ok_or_else(invalid)?;
    let (namespace, name) = json["start"].as_str().and_then(|start| start.split_once('/')).ok_or_else(invalid)?;
    Ok((rv, namespace.into(), name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_continue_token_says_what_was_put_in(rv: u64, namespace in "[a-z0-9-]{0,20}", name in "[a-z0-9.-]{1,20}") {
            let key = Key::new(0, &namespace, &name);
            let (rv_read, namespace_read, name_read) = read_token(&token(rv, &key)).unwrap();
            assert_eq!((rv_read, &*namespace_read, &*name_read), (rv, namespace.as_str(), name.as_str()));
        }

        #[test]
        fn any_text_as_a_token_is_refused_or_read(token in ".{0,60}") {
            let _ = read_token(&token);
        }
    }
}
