//! YAML in and out: text of values, and files of several documents.

use serde::Serialize;
use serde_json::Value;

use crate::failure::{Doing, Failure, Outcome};

/// One document of a file, and the line it starts on (counted from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
}

/// A value as YAML text, ending in a newline.
pub(crate) fn text_of<T: Serialize + ?Sized>(value: &T) -> Outcome<String> {
    // Through a JSON value, so that keys and numbers are exactly those of the API.
    let value = serde_json::to_value(value).doing("cannot write YAML")?;
    let mut text = serde_saphyr::to_string(&value).doing("cannot write YAML")?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The value of one document.
pub(crate) fn value_of(text: &str) -> Outcome<Value> {
    serde_saphyr::from_str(text).map_err(|error| Failure::new(error.to_string().trim_end()))
}

/// Cuts a file at its document markers: lines of `---` alone or followed by a space. A marker is only a marker at the
/// start of a line, so `-----BEGIN CERTIFICATE-----` and anything indented stays where it is. Blank documents and
/// documents of comments alone are left out.
pub(crate) fn documents(text: &str) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") || is_marker(line, "...") {
            push(&mut found, start_line, &text[start..offset]);
            // What follows the marker on its line belongs to the document; the end marker has nothing after it.
            start = offset + if line.starts_with("---") { 3 } else { line.len() };
            start_line = index + 1;
        }
        offset += line.len();
    }
    push(&mut found, start_line, &text[start..]);
    found
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

fn push<'a>(found: &mut Vec<Document<'a>>, line: usize, text: &'a str) {
    let says_something = |line: &str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line.starts_with('%'))
    };
    if text.lines().any(says_something) {
        found.push(Document { line, text });
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
