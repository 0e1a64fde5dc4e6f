//! What names, labels and annotations may look like.

use fission_api::{FieldError, Problem};
use serde_json::Value;

use crate::registry::{NAMESPACES, Resource};

/// Longest name of an object, in bytes.
const MAX_NAME: usize = 253;
/// Longest DNS label, label name and label value, in bytes.
const MAX_LABEL: usize = 63;
/// Largest sum of all annotations of an object, in bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// Random characters a generated name ends in.
const SUFFIX: usize = 5;
/// Characters of that suffix: no vowels, so that no words appear.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// A name that begins with `prefix` and that no one is likely to have used.
pub(crate) fn generate(prefix: &str) -> String {
    let mut end = prefix.len().min(MAX_LABEL - SUFFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = prefix[..end].to_owned();
    for _ in 0..SUFFIX {
        let at = rand::random_range(0..ALPHABET.len());
        name.push(char::from(ALPHABET[at]));
    }
    name
}

/// Everything wrong with an object's metadata.
pub(crate) fn check_metadata(object: &Value, resource: &Resource) -> Vec<FieldError> {
    let meta = &object["metadata"];
    let mut errors = Vec::new();
    let name = meta["name"].as_str().unwrap_or("");
    if name.is_empty() {
        errors.push(error("metadata.name", Problem::Required, "", "name or generateName is required"));
    } else if resource.id == NAMESPACES && !is_dns_label(name) {
        errors.push(error("metadata.name", Problem::Invalid, name, LABEL));
    } else if !is_subdomain(name) {
        errors.push(error("metadata.name", Problem::Invalid, name, SUBDOMAIN));
    }
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        if !is_label_key(key) {
            errors.push(error("metadata.labels", Problem::Invalid, key, QUALIFIED));
        }
        match value.as_str() {
            Some(value) if is_label_value(value) => {}
            Some(value) => errors.push(error("metadata.labels", Problem::Invalid, value, VALUE)),
            None => errors.push(error("metadata.labels", Problem::Invalid, &value.to_string(), "must be a string")),
        }
    }
    errors.extend(annotations(&meta["annotations"]));
    for finalizer in meta["finalizers"].as_array().into_iter().flatten() {
        let text = finalizer.as_str().unwrap_or("");
        if !is_label_key(text) {
            errors.push(error("metadata.finalizers", Problem::Invalid, text, QUALIFIED));
        }
    }
    errors.extend(owners(&meta["ownerReferences"]));
    errors
}

fn annotations(annotations: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        if !is_label_key(&key.to_lowercase()) {
            errors.push(error("metadata.annotations", Problem::Invalid, key, QUALIFIED));
        }
        match value.as_str() {
            Some(value) => size += key.len() + value.len(),
            None => {
                errors.push(error("metadata.annotations", Problem::Invalid, &value.to_string(), "must be a string"))
            }
        }
    }
    if size > MAX_ANNOTATIONS {
        let detail = format!("may not be more than {MAX_ANNOTATIONS} bytes");
        errors.push(error("metadata.annotations", Problem::TooLong, "", &detail));
    }
    errors
}

fn owners(owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = 0;
    for (at, owner) in owners.as_array().into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or("").is_empty() {
                let path = format!("metadata.ownerReferences[{at}].{field}");
                errors.push(error(&path, Problem::Required, "", "must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true";
        errors.push(error("metadata.ownerReferences", Problem::Invalid, "", detail));
    }
    errors
}

fn error(path: &str, problem: Problem, value: &str, detail: &str) -> FieldError {
    FieldError { path: path.to_owned(), problem, value: value.to_owned(), detail: detail.to_owned() }
}

fn is_dns_label(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_LABEL
        && bytes.iter().all(|c| plain(*c) || *c == b'-')
        && plain(bytes[0])
        && plain(bytes[bytes.len() - 1])
}

fn is_subdomain(text: &str) -> bool {
    let plain = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= MAX_NAME
        && text.split('.').all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(plain)
                && bytes.last().is_some_and(plain)
                && bytes.iter().all(|c| plain(c) || *c == b'-')
        })
}

/// Whether a text is a label key: an optional DNS prefix and a name.
pub(crate) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Whether a text is a label value.
pub(crate) fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |c: Option<&u8>| c.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= MAX_LABEL
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && edge(bytes.first())
        && edge(bytes.last())
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
