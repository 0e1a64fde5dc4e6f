//! Label and field selectors.

use serde_json::Value;

use crate::registry::Resource;
use crate::status::ApiError;
use crate::storage::{Key, Object};

/// Requirements one selector may have: a limit so that a request cannot make every list slow.
const MAX_REQUIREMENTS: usize = 256;

/// A label selector: all requirements hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

impl LabelSelector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in split(text) {
            requirements.push(requirement(part.trim()).map_err(|why| {
                ApiError::bad_request(format!("unable to parse requirement: {why} in label selector {text:?}"))
            })?);
            if requirements.len() > MAX_REQUIREMENTS {
                let why = format!("a label selector may have {MAX_REQUIREMENTS} requirements; this one has more");
                return Err(ApiError::bad_request(why));
            }
        }
        Ok(Self(requirements))
    }

    /// Whether it matches everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels satisfy it.
    pub(crate) fn matches(&self, labels: &[(Box<str>, Box<str>)]) -> bool {
        let get = |key: &str| labels.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => get(key).is_some_and(|value| values.iter().any(|it| it == value)),
            Requirement::NotIn(key, values) => get(key).is_none_or(|value| values.iter().all(|it| it != value)),
            Requirement::Exists(key) => get(key).is_some(),
            Requirement::Absent(key) => get(key).is_none(),
            Requirement::Greater(key, than) => number(get(key)).is_some_and(|value| value > *than),
            Requirement::Less(key, than) => number(get(key)).is_some_and(|value| value < *than),
        })
    }
}

fn number(value: Option<&str>) -> Option<i64> {
    value?.parse().ok()
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(label_key(key)?));
    }
    for (operator, negated) in [(" notin ", true), (" notin(", true), (" in ", false), (" in(", false)] {
        if let Some((key, values)) = part.split_once(operator) {
            let values = values.trim().trim_start_matches('(');
            let values = values.strip_suffix(')').ok_or_else(|| format!("{part:?} lacks a closing parenthesis"))?;
            let values = values.split(',').map(label_value).collect::<Result<Vec<_>, _>>()?;
            let key = label_key(key)?;
            return Ok(if negated { Requirement::NotIn(key, values) } else { Requirement::In(key, values) });
        }
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once('>') {
        return Ok(Requirement::Greater(label_key(key)?, whole(value)?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return Ok(Requirement::Less(label_key(key)?, whole(value)?));
    }
    Ok(Requirement::Exists(label_key(part)?))
}

fn whole(value: &str) -> Result<i64, String> {
    value.trim().parse().map_err(|_| format!("{value:?} is not a whole number"))
}

fn label_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    if crate::names::is_label_key(key) { Ok(key.to_owned()) } else { Err(format!("{key:?} is not a label key")) }
}

fn label_value(value: &str) -> Result<String, String> {
    let value = value.trim();
    if crate::names::is_label_value(value) {
        Ok(value.to_owned())
    } else {
        Err(format!("{value:?} is not a label value"))
    }
}

/// A field selector: all requirements hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<(String, String, bool)>);

/// Fields that events can be selected by, besides name and namespace.
const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
/// Fields that pods can be selected by.
const POD_FIELDS: &[&str] = &["spec.nodeName", "status.phase", "status.podIP", "spec.restartPolicy"];

impl FieldSelector {
    /// Parses `metadata.name=x,type!=Normal` for a resource.
    pub(crate) fn parse(text: &str, resource: &Resource) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, value, true)
            } else {
                let why = format!("invalid field selector {part:?}: it must be FIELD=VALUE or FIELD!=VALUE");
                return Err(ApiError::bad_request(why));
            };
            let field = field.trim();
            let known = matches!(field, "metadata.name" | "metadata.namespace")
                || (resource.plural == "events" && EVENT_FIELDS.contains(&field))
                || (resource.plural == "secrets" && field == "type")
                || (resource.plural == "namespaces" && field == "status.phase")
                || (resource.plural == "pods" && POD_FIELDS.contains(&field));
            if !known {
                let why = format!("field label not supported: {field} ({})", resource.qualified());
                return Err(ApiError::bad_request(why));
            }
            requirements.push((field.to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self(requirements))
    }

    /// Whether it matches everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Requires a name, as a request for one object does.
    pub(crate) fn and_name(&mut self, name: &str) {
        self.0.push(("metadata.name".to_owned(), name.to_owned(), true));
    }

    /// Whether an object satisfies it.
    pub(crate) fn matches(&self, key: &Key, object: &Object) -> bool {
        let mut parsed: Option<Value> = None;
        self.0.iter().all(|(field, wanted, equal)| {
            let hit = match field.as_str() {
                "metadata.name" => *key.name == **wanted,
                "metadata.namespace" => *key.namespace == **wanted,
                "source" => {
                    let event = parsed.get_or_insert_with(|| object.value());
                    let component = event["source"]["component"].as_str().or(event["reportingComponent"].as_str());
                    component.unwrap_or("") == wanted
                }
                path => {
                    let value = parsed.get_or_insert_with(|| object.value());
                    let pointer = format!("/{}", path.replace('.', "/"));
                    value.pointer(&pointer).and_then(Value::as_str).unwrap_or("") == wanted
                }
            };
            hit == *equal
        })
    }
}

/// Both selectors of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selectors {
    /// On labels.
    pub(crate) labels: LabelSelector,
    /// On fields.
    pub(crate) fields: FieldSelector,
}

impl Selectors {
    /// Whether both match everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object satisfies both.
    pub(crate) fn matches(&self, key: &Key, object: &Object) -> bool {
        self.labels.matches(&object.labels) && self.fields.matches(key, object)
    }
}

#[cfg(test)]
#[path = "selectors_tests.rs"]
mod tests;
