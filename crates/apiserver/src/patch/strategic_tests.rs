//! Tests of strategic merge patch.

use serde_json::json;

use super::*;

fn merged(mut value: Value, patch: Value) -> Value {
    let schema = json!({ "properties": {
        "keyed": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
        "set": { "type": "array", "x-kubernetes-list-type": "set" },
    } });
    merge(&mut value, &patch, Shape::of(&schema)).unwrap();
    value
}

#[test]
fn maps_merge_and_null_takes_away() {
    let patch = json!({ "data": { "b": "2", "a": null } });
    assert_eq!(merged(json!({ "data": { "a": "1", "c": "3" } }), patch), json!({ "data": { "b": "2", "c": "3" } }));
}

#[test]
fn keyed_lists_merge_by_key() {
    let value = json!({ "keyed": [{ "name": "a", "x": 1 }, { "name": "b" }] });
    let patch = json!({ "keyed": [{ "name": "a", "y": 2 }, { "name": "c" }, { "name": "b", "$patch": "delete" }] });
    assert_eq!(merged(value, patch), json!({ "keyed": [{ "name": "a", "x": 1, "y": 2 }, { "name": "c" }] }));
}

#[test]
fn sets_grow_and_shrink_by_value() {
    let patch = json!({ "set": ["c"], "$deleteFromPrimitiveList/set": ["a"], "$setElementOrder/set": ["b", "c"] });
    assert_eq!(merged(json!({ "set": ["a", "b"] }), patch), json!({ "set": ["b", "c"] }));
}

#[test]
fn directives_replace_and_never_stay() {
    assert_eq!(
        merged(json!({ "a": { "x": 1 } }), json!({ "a": { "$patch": "replace", "y": 2 } })),
        json!({ "a": { "y": 2 } })
    );
    assert_eq!(merged(json!({ "a": 1, "b": 2 }), json!({ "$retainKeys": ["a"], "a": 3 })), json!({ "a": 3 }));
    assert_eq!(merged(json!({ "plain": [1, 2] }), json!({ "plain": [3] })), json!({ "plain": [3] }));
}

#[test]
fn an_item_without_its_key_is_refused() {
    let schema = json!({ "properties": { "keyed": {
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] } } });
    let refused = merge(&mut json!({}), &json!({ "keyed": [{ "x": 1 }] }), Shape::of(&schema));
    assert!(refused.unwrap_err().0.contains("name"));
}
