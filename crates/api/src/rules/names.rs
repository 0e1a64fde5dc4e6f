//! Names as DNS and Kubernetes have them.

use crate::field_error::Found;

/// Longest DNS label, and longest label value.
pub(crate) const MAX_LABEL: usize = 63;
/// Longest DNS name.
const MAX_SUBDOMAIN: usize = 253;

/// Why `text` is no DNS label, if it is none.
pub(crate) fn label_problem(text: &str) -> Option<String> {
    if text.len() > MAX_LABEL {
        return Some(format!("must be at most {MAX_LABEL} characters, is {}", text.len()));
    }
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = text.bytes().all(|byte| edge(byte) || byte == b'-');
    let ends = text.bytes().next().is_some_and(edge) && text.bytes().last().is_some_and(edge);
    if inner && ends {
        return None;
    }
    Some("must be lower-case letters, digits and '-', beginning and ending with a letter or digit".into())
}

/// Why `text` is no DNS name, if it is none.
pub(crate) fn subdomain_problem(text: &str) -> Option<String> {
    if text.len() > MAX_SUBDOMAIN {
        return Some(format!("must be at most {MAX_SUBDOMAIN} characters, is {}", text.len()));
    }
    if text.split('.').all(|label| label_problem(label).is_none()) {
        return None;
    }
    Some(
        "must be lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit".into(),
    )
}

/// Refuses what is no DNS label, the empty text too.
pub(crate) fn check_label(path: &str, text: &str, found: &mut Found) {
    if text.is_empty() {
        found.required(path, "name it");
    } else if let Some(problem) = label_problem(text) {
        found.invalid(path, text, problem);
    }
}

/// Refuses what is no DNS label, but allows the empty text.
pub(crate) fn check_optional_label(path: &str, text: &str, found: &mut Found) {
    if !text.is_empty() {
        check_label(path, text, found);
    }
}
