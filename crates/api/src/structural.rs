//! Objects against structural schemas, as the Kubernetes API server does it: check, prune, default.
//!
//! Works on plain JSON so that the same code serves every kind. A `null` in a field that is not nullable counts as an
//! absent field: Go clients send `null` for every unset map, list and pointer.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::{Map, Value};

use crate::field_error::{FieldError, Found};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
/// Root keys that are not the kind's own; the API server handles them for every kind alike.
const ROOT_KEYS: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// Problems reported for one object at most, so that an absurd object gets a readable answer.
const MAX_PROBLEMS: usize = 50;

/// Drops fields the schema does not know, and `null` where the schema has no null. Returns the paths of the unknown
/// fields dropped, for `fieldValidation=Strict` and `Warn`.
pub fn prune(object: &mut Value, schema: &Value) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Some(fields) = object.as_object_mut() {
        prune_fields(fields, schema, "", &mut dropped);
    }
    dropped
}

/// Writes the schema's defaults into absent fields of the objects that are there.
pub fn apply_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, child) in properties(schema) {
                if let Some(default) = child.get("default")
                    && fields.get(name).is_none_or(|value| value.is_null() && !nullable(child))
                {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(value) = fields.get_mut(name) {
                    apply_defaults(value, child);
                }
            }
            if let Some(child) = schema.get("additionalProperties") {
                fields.values_mut().for_each(|value| apply_defaults(value, child));
            }
        }
        Value::Array(items) => {
            if let Some(child) = schema.get("items") {
                items.iter_mut().for_each(|value| apply_defaults(value, child));
            }
        }
        _ => {}
    }
}

/// Everything in `object` that contradicts `schema`: types, required fields, enums, patterns, lengths, ranges, lists
/// that are sets or maps. Unknown fields are no problem.
pub fn check(object: &Value, schema: &Value) -> Vec<FieldError> {
    let mut found = Found::default();
    check_value(object, schema, "", &mut found);
    let mut errors = found.into_errors();
    errors.truncate(MAX_PROBLEMS);
    errors
}

fn prune_fields(fields: &mut Map<String, Value>, schema: &Value, path: &str, dropped: &mut Vec<String>) {
    let known = schema.get("properties").and_then(Value::as_object);
    let rest = schema.get("additionalProperties").filter(|rest| rest.is_object());
    let preserve = schema.get(PRESERVE) == Some(&Value::Bool(true)) || schema.get("type").is_none();
    fields.retain(|name, value| {
        if path.is_empty() && ROOT_KEYS.contains(&name.as_str()) {
            return true;
        }
        let here = join(path, name);
        match known.and_then(|known| known.get(name)).or(rest) {
            Some(child) if value.is_null() => nullable(child) || keeps_anything(child),
            Some(child) => {
                prune_value(value, child, &here, dropped);
                true
            }
            None if preserve => true,
            None => {
                dropped.push(here);
                false
            }
        }
    });
}

fn prune_value(value: &mut Value, schema: &Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        // A value of the wrong type is left whole, so that the check can show it.
        _ if schema.get("type").and_then(Value::as_str).is_some_and(|expected| !has_type(value, expected)) => {}
        Value::Object(fields) => prune_fields(fields, schema, path, dropped),
        Value::Array(items) => {
            if let Some(child) = schema.get("items") {
                for (index, item) in items.iter_mut().enumerate() {
                    prune_value(item, child, &format!("{path}[{index}]"), dropped);
                }
            }
        }
        _ => {}
    }
}

fn check_value(value: &Value, schema: &Value, path: &str, found: &mut Found) {
    if value.is_null() {
        return;
    }
    if schema.get(INT_OR_STRING) == Some(&Value::Bool(true)) {
        if !value.is_number() && !value.is_string() {
            found.wrong_type(path, value, "a number or a string");
        }
        return;
    }
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !has_type(value, expected)
    {
        return found.wrong_type(path, value, words(expected));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().filter(|one| !one.is_null()).map(plain).collect();
        return found.not_supported(path, plain(value), &allowed);
    }
    match value {
        Value::Object(fields) => check_fields(fields, schema, path, found),
        Value::Array(items) => check_items(items, schema, path, found),
        Value::String(text) => check_text(text, schema, path, found),
        Value::Number(number) => check_number(number, schema, path, found),
        _ => {}
    }
}

fn check_fields(fields: &Map<String, Value>, schema: &Value, path: &str, found: &mut Found) {
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            found.required(join(path, name), "");
        }
    }
    let (least, most) = (limit(schema, "minProperties"), limit(schema, "maxProperties"));
    if least.is_some_and(|least| fields.len() < least) {
        found.invalid(path, format!("{} entries", fields.len()), format!("must have at least {}", least.unwrap_or(0)));
    }
    if let Some(most) = most.filter(|most| fields.len() > *most) {
        found.too_long(path, format!("must have at most {most} entries"));
    }
    let rest = schema.get("additionalProperties").filter(|rest| rest.is_object());
    let known = schema.get("properties").and_then(Value::as_object);
    for (name, value) in fields {
        if path.is_empty() && ROOT_KEYS.contains(&name.as_str()) {
            continue;
        }
        if let Some(child) = known.and_then(|known| known.get(name)).or(rest) {
            check_value(value, child, &join(path, name), found);
        }
    }
}

fn check_items(items: &[Value], schema: &Value, path: &str, found: &mut Found) {
    if let Some(most) = limit(schema, "maxItems").filter(|most| items.len() > *most) {
        found.too_long(path, format!("must have at most {most} items"));
    }
    if let Some(least) = limit(schema, "minItems").filter(|least| items.len() < *least) {
        found.invalid(path, format!("{} items", items.len()), format!("must have at least {least}"));
    }
    if let Some(child) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            check_value(item, child, &format!("{path}[{index}]"), found);
        }
    }
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("map") => {
            schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        }
        Some("set") => Vec::new(),
        _ => return,
    };
    let key_of = |item: &Value| -> Vec<Value> {
        if keys.is_empty() { vec![item.clone()] } else { keys.iter().map(|key| item[*key].clone()).collect() }
    };
    let mut seen: Vec<Vec<Value>> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let key = key_of(item);
        if seen.contains(&key) {
            let shown = key.iter().map(plain).collect::<Vec<_>>().join(", ");
            found.invalid(format!("{path}[{index}]"), shown, "appears twice; each entry must be there once");
        }
        seen.push(key);
    }
}

fn check_text(text: &str, schema: &Value, path: &str, found: &mut Found) {
    let length = text.chars().count();
    if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
        found.too_long(path, format!("must be at most {most} characters, is {length}"));
    }
    if limit(schema, "minLength").is_some_and(|least| length < least) {
        found.required(path, "may not be empty");
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !matches(pattern, text)
    {
        found.invalid(path, text, format!("must match {pattern}"));
    }
    if schema.get("format").is_some_and(|format| format == "byte") && !is_base64(text) {
        found.invalid(path, shorten(text), "must be base64");
    }
}

fn check_number(number: &serde_json::Number, schema: &Value, path: &str, found: &mut Found) {
    let value = number.as_f64().unwrap_or_default();
    if let Some(least) = schema.get("minimum").and_then(Value::as_f64).filter(|least| value < *least) {
        found.invalid(path, number, format!("must be at least {least}"));
    }
    if let Some(most) = schema.get("maximum").and_then(Value::as_f64).filter(|most| value > *most) {
        found.invalid(path, number, format!("must be at most {most}"));
    }
    let bits = schema.get("format").and_then(Value::as_str);
    if bits == Some("int32") && number.as_i64().is_none_or(|value| i32::try_from(value).is_err()) {
        found.invalid(path, number, "must be a whole number of 32 bits");
    }
}

fn has_type(value: &Value, expected: &str) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_number().is_some_and(is_whole),
        "number" => value.is_number(),
        _ => true,
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64()
}

fn words(kind: &str) -> &'static str {
    match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

/// A JSON value as shown in a message: strings without their quotes, and never very long.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => shorten(text),
        other => shorten(&other.to_string()),
    }
}

/// Most characters of a value repeated in a message.
const SHOWN: usize = 80;

fn shorten(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("...".chars()).collect()
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}

fn keeps_anything(schema: &Value) -> bool {
    schema.get(PRESERVE) == Some(&Value::Bool(true)) && schema.get("type").is_none()
}

fn limit(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
#[path = "structural_tests.rs"]
mod tests;
