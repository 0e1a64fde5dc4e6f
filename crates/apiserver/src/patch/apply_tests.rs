//! Tests of server-side apply.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": {
        "keyed": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": { "type": "object", "properties": { "name": {}, "value": {}, "other": {} } } },
        "set": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
        "plain": { "type": "array" },
        "map": { "type": "object", "additionalProperties": { "type": "string" } },
        "one": { "type": "object", "x-kubernetes-map-type": "atomic", "properties": { "a": {}, "b": {} } },
        "a": {}, "b": {},
    } } } })
}

fn author(manager: &str) -> Author<'_> {
    Author { manager, subresource: "", api_version: "v1", time: "2026-01-01T00:00:00Z" }
}

fn object(spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "X", "metadata": { "name": "x" }, "spec": spec })
}

fn applied(live: &Value, spec: Value, manager: &str) -> Value {
    apply(live, &object(spec), Shape::of(&schema()), author(manager), false).unwrap()
}

fn empty() -> Value {
    json!({ "metadata": {} })
}

#[test]
fn managers_share_an_object_and_each_keeps_its_fields() {
    let live = applied(&empty(), json!({ "a": 1, "map": { "x": "1" } }), "one");
    let live = applied(&live, json!({ "b": 2, "map": { "y": "2" } }), "two");
    assert_eq!(live["spec"], json!({ "a": 1, "b": 2, "map": { "x": "1", "y": "2" } }));
    let live = applied(&live, json!({ "map": {} }), "one");
    assert_eq!(live["spec"], json!({ "b": 2, "map": { "y": "2" } }));
}

#[test]
fn another_managers_value_is_a_conflict_until_forced() {
    let live = applied(&empty(), json!({ "a": 1 }), "one");
    let wanted = object(json!({ "a": 2 }));
    let conflicts = apply(&live, &wanted, Shape::of(&schema()), author("two"), false).unwrap_err();
    assert_eq!(conflicts, [Conflict { manager: "one".into(), path: ".spec.a".into(), using: "v1".into() }]);
    let live = apply(&live, &wanted, Shape::of(&schema()), author("two"), true).unwrap();
    assert_eq!(live["spec"], json!({ "a": 2 }));
    assert_eq!(managed::read(&live).iter().filter(|entry| !entry.fields.is_empty()).count(), 1);
}

#[test]
fn the_same_value_is_owned_by_both_and_goes_with_the_last() {
    let live = applied(&empty(), json!({ "a": 1 }), "one");
    let live = applied(&live, json!({ "a": 1, "b": 1 }), "two");
    let live = applied(&live, json!({ "b": 1 }), "two");
    assert_eq!(live["spec"], json!({ "a": 1, "b": 1 }));
    let live = applied(&live, json!({}), "one");
    assert_eq!(live["spec"], json!({ "b": 1 }));
}

#[test]
fn keyed_lists_merge_by_key_and_sets_by_value() {
    let live = applied(&empty(), json!({ "keyed": [{ "name": "a", "value": 1 }], "set": ["x"] }), "one");
    let two = json!({ "keyed": [{ "name": "b", "value": 2 }, { "name": "a", "other": 3 }], "set": ["y"] });
    let live = applied(&live, two, "two");
    assert_eq!(
        live["spec"],
        json!({ "keyed": [{ "name": "a", "value": 1, "other": 3 }, { "name": "b", "value": 2 }], "set": ["x", "y"] })
    );
    let live = applied(&live, json!({ "set": ["y"] }), "two");
    assert_eq!(live["spec"], json!({ "keyed": [{ "name": "a", "value": 1 }], "set": ["x", "y"] }));
}

#[test]
fn plain_lists_and_atomic_maps_are_one_value() {
    let live = applied(&empty(), json!({ "plain": [1, 2], "one": { "a": 1 } }), "one");
    for wanted in [json!({ "plain": [1] }), json!({ "one": { "b": 1 } })] {
        assert!(apply(&live, &object(wanted), Shape::of(&schema()), author("two"), false).is_err());
    }
    let live = applied(&live, json!({ "plain": [3], "one": { "b": 2 } }), "one");
    assert_eq!(live["spec"], json!({ "plain": [3], "one": { "b": 2 } }));
}

#[test]
fn an_update_takes_the_fields_it_changes() {
    let before = applied(&empty(), json!({ "a": 1, "b": 1 }), "one");
    let mut after = before.clone();
    after["spec"]["a"] = 5.into();
    managed::record_update(Some(&before), &mut after, Shape::of(&schema()), author("editor"));
    let wanted = object(json!({ "a": 1, "b": 1 }));
    let conflicts = apply(&after, &wanted, Shape::of(&schema()), author("one"), false).unwrap_err();
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].manager.as_str(), conflicts[0].path.as_str()), ("editor", ".spec.a"));
}

#[test]
fn field_sets_read_back_as_they_were_written() {
    let spec = json!({ "keyed": [{ "name": "a", "value": 1 }], "set": ["x"], "map": {}, "plain": [] });
    let set = FieldSet::of(&managed::comparable(&object(spec)), Shape::of(&schema()));
    assert_eq!(FieldSet::from_json(&set.to_json()), set);
    assert!(set.to_json().to_string().contains(r#""k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:value":{}}"#));
}

fn specs() -> impl Strategy<Value = Value> {
    let item = ("[a-c]", 0..3_i32).prop_map(|(name, value)| json!({ "name": name, "value": value }));
    let keyed = prop::collection::vec(item, 0..3).prop_map(|items| {
        let mut seen = std::collections::BTreeMap::new();
        items.into_iter().for_each(|item| {
            seen.insert(item["name"].to_string(), item);
        });
        Value::Array(seen.into_values().collect())
    });
    let map = prop::collection::btree_map("[a-c]", "[0-9]", 0..3).prop_map(|map| json!(map));
    (prop::option::of(0..3_i32), prop::option::of(keyed), prop::option::of(map)).prop_map(|(a, keyed, map)| {
        let mut spec = Map::new();
        let parts = [("a", a.map(Value::from)), ("keyed", keyed), ("map", map)];
        spec.extend(parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(spec)
    })
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in specs(), other in specs(), wanted in specs()) {
        let schema = schema();
        let live = applied(&empty(), first, "one");
        let live = apply(&live, &object(other), Shape::of(&schema), author("two"), true).unwrap();
        let once = apply(&live, &object(wanted.clone()), Shape::of(&schema), author("one"), true).unwrap();
        let twice = apply(&once, &object(wanted), Shape::of(&schema), author("one"), false).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_one_manager_alone_applies_is_what_there_is(first in specs(), wanted in specs()) {
        let live = applied(&empty(), first, "one");
        let live = applied(&live, wanted.clone(), "one");
        let hollow = |spec: &Value| FieldSet::of(spec, Shape::of(&schema()).field("spec"));
        prop_assert_eq!(hollow(&live["spec"]).paths(), hollow(&wanted).paths());
    }

    #[test]
    fn set_arithmetic_holds(one in specs(), two in specs()) {
        let schema = schema();
        let shape = Shape::of(&schema).field("spec");
        let (one, two) = (FieldSet::of(&one, shape), FieldSet::of(&two, shape));
        prop_assert_eq!(one.without(&two).union(&one.common(&two)), one.clone());
        prop_assert!(one.without(&one).is_empty());
        prop_assert!(one.without(&two).common(&two).is_empty());
    }
}
