//! Tests of JSON patch and merge patch, against simple models of both.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::registry;

fn functions() -> &'static Resource {
    registry::find("fission.io", "v1", "functions").unwrap()
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..9_i32).prop_map(Value::from)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn objects() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", values(), 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// RFC 7396, section 2, as it is written there.
fn model(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut result = target.as_object().cloned().unwrap_or_else(Map::new);
    for (name, value) in patch {
        if value.is_null() {
            result.remove(name);
        } else {
            let merged = model(result.get(name).unwrap_or(&Value::Null), value);
            result.insert(name.clone(), merged);
        }
    }
    Value::Object(result)
}

proptest! {
    #[test]
    fn a_merge_patch_does_what_its_rfc_says(live in objects(), patch in objects()) {
        let patched = change(&live, &patch, PatchKind::Merge, functions()).unwrap();
        prop_assert_eq!(patched, model(&live, &patch));
    }

    #[test]
    fn setting_and_removing_a_field_by_json_patch_is_setting_and_removing_it(
        live in objects(), name in "[a-d]", value in values()
    ) {
        let set = json!([{ "op": "add", "path": format!("/{name}"), "value": value }]);
        let patched = change(&live, &set, PatchKind::Json, functions()).unwrap();
        let mut wanted = live.clone();
        wanted[&name] = value;
        prop_assert_eq!(&patched, &wanted);
        let remove = json!([{ "op": "remove", "path": format!("/{name}") }]);
        let removed = change(&patched, &remove, PatchKind::Json, functions()).unwrap();
        wanted.as_object_mut().unwrap().remove(&name);
        prop_assert_eq!(removed, wanted);
    }

    #[test]
    fn any_json_patch_is_applied_or_refused_and_the_live_object_stays(live in objects(), path in "(/[a-d0-9~-]{0,3}){0,3}", value in values()) {
        for op in ["add", "replace", "remove", "test"] {
            let before = live.clone();
            let _ = change(&live, &json!([{ "op": op, "path": path, "value": value }]), PatchKind::Json, functions());
            prop_assert_eq!(&before, &live);
        }
    }
}

#[test]
fn a_failed_test_refuses_the_whole_patch() {
    let patch = json!([
        { "op": "replace", "path": "/a", "value": 2 },
        { "op": "test", "path": "/a", "value": 3 },
    ]);
    let error = change(&json!({ "a": 1 }), &patch, PatchKind::Json, functions()).unwrap_err();
    assert_eq!((error.code.as_u16(), error.reason), (422, "Invalid"));
}

#[test]
fn copies_cannot_grow_an_object_without_end() {
    let doubling: Vec<Value> =
        (0..40).map(|at| json!({ "op": "copy", "from": "", "path": format!("/x{at}") })).collect();
    let error = change(&json!({ "a": "x".repeat(1000) }), &Value::Array(doubling), PatchKind::Json, functions());
    assert_eq!(error.unwrap_err().code.as_u16(), 413);
}

#[test]
fn strategic_merge_is_for_the_kinds_of_kubernetes_only() {
    let strategic = "application/strategic-merge-patch+json";
    assert_eq!(PatchKind::from_content_type(strategic, functions()).unwrap_err().code.as_u16(), 415);
    let maps = registry::find("", "v1", "configmaps").unwrap();
    assert_eq!(PatchKind::from_content_type(strategic, maps), Ok(PatchKind::Strategic));
}
