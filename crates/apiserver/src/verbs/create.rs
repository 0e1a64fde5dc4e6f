//! Create.

use serde_json::Value;

use super::{Outcome, Writing, Written, refused};
use crate::registry::CRDS;
use crate::status::ApiError;
use crate::storage::{Draft, Key, Op, Refused, Store};

/// Names tried for an object that asks for a generated one.
const MAX_NAMES: usize = 8;

/// Stores a new object.
pub(crate) async fn create(store: &Store, writing: &Writing, mut object: Value) -> Result<Written, ApiError> {
    let admission = writing.admission();
    let mut warnings = Vec::new();
    admission.identify(&mut object)?;
    admission.prune(&mut object, &mut warnings)?;
    let generated = object["metadata"]["name"].as_str().unwrap_or("").is_empty();
    let mut tries = if generated { MAX_NAMES } else { 1 };
    loop {
        let mut candidate = if tries > 1 { object.clone() } else { std::mem::take(&mut object) };
        admission.create(&mut candidate, false)?;
        match store_new(store, writing, candidate, &mut warnings).await {
            Err((Refused::Exists, _)) if tries > 1 => tries -= 1,
            Err((why, key)) => return Err(refused(why, writing.target.resource, &key)),
            Ok(object) => return Ok(Written { object, created: true, warnings }),
        }
    }
}

/// Stores an object that has been admitted.
pub(crate) async fn store_new(
    store: &Store,
    writing: &Writing,
    object: Value,
    warnings: &mut Vec<String>,
) -> Result<Outcome, (Refused, Key)> {
    let resource = writing.target.resource;
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    let key = Key::new(resource.id, writing.target.namespace(), name);
    if resource.id == CRDS && store.get(&key).is_none() {
        warnings.push("the kinds of this server are built in; the definition is kept only until it stops".to_owned());
    }
    if writing.dry_run {
        return match check(store, &key) {
            Some(why) => Err((why, key)),
            None => Ok(Outcome::Dry(object)),
        };
    }
    let draft = Draft::new(&object);
    match store.write(key.clone(), Op::Create(draft)).await {
        Ok(stored) => Ok(Outcome::Stored(stored)),
        Err(why) => Err((why, key)),
    }
}

/// Whether a dry run would be refused.
fn check(store: &Store, key: &Key) -> Option<Refused> {
    let state = store.read();
    if state.get(key).is_some() {
        return Some(Refused::Exists);
    }
    if key.namespace.is_empty() {
        return None;
    }
    match state.get(&Key::new(crate::registry::NAMESPACES, "", &key.namespace)) {
        None => Some(Refused::NoNamespace),
        Some(namespace) if namespace.deleting => Some(Refused::NamespaceEnding),
        Some(_) => None,
    }
}
