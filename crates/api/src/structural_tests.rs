//! Objects against small schemas.

use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["spec"],
        "properties": { "spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 3 },
                "size": { "type": "integer", "format": "int32", "minimum": 0, "maximum": 5, "default": 2 },
                "mode": { "type": "string", "enum": ["a", "B"] },
                "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                "any": { "x-kubernetes-preserve-unknown-fields": true },
                "map": { "type": "object", "additionalProperties": { "type": "integer" }, "nullable": true },
                "amount": { "x-kubernetes-int-or-string": true },
                "list": { "type": "array", "maxItems": 2, "items": { "type": "object", "properties": {
                    "key": { "type": "string" }, "on": { "type": "boolean", "default": true } } },
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"] },
                "ratio": { "type": "number" },
                "bytes": { "type": "string", "format": "byte" },
                "code": { "type": "string", "pattern": "^x+$" },
            },
        } },
    })
}

fn problems(spec: Value) -> Vec<String> {
    check(&json!({ "spec": spec }), &schema()).iter().map(FieldError::to_string).collect()
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let mut object = json!({ "kind": "K", "metadata": { "any": 1 }, "extra": 1,
        "spec": { "name": "n", "nope": 1, "list": [{ "key": "k", "nope": 2 }], "map": { "free": 1 } } });
    assert_eq!(prune(&mut object, &schema()), ["extra", "spec.list[0].nope", "spec.nope"]);
    let kept = json!({ "kind": "K", "metadata": { "any": 1 },
        "spec": { "name": "n", "list": [{ "key": "k" }], "map": { "free": 1 } } });
    assert_eq!(object, kept);
}

#[test]
fn free_objects_keep_everything() {
    let whole = json!({ "spec": { "free": { "a": { "b": null } }, "any": [{ "c": null }] } });
    let mut object = whole.clone();
    assert_eq!(prune(&mut object, &schema()), [""; 0]);
    assert_eq!(object, whole);
}

#[test]
fn null_counts_as_absent_unless_the_field_is_nullable() {
    let mut object = json!({ "spec": { "name": null, "mode": null, "map": null } });
    prune(&mut object, &schema());
    assert_eq!(object, json!({ "spec": { "map": null } }));
    assert_eq!(problems(json!({ "name": null, "size": null })), ["spec.name: Required value"]);
}

#[test]
fn defaults_fill_absent_fields_of_present_objects() {
    let mut object = json!({ "spec": { "list": [{}, { "on": false }], "size": null } });
    apply_defaults(&mut object, &schema());
    assert_eq!(object, json!({ "spec": { "list": [{ "on": true }, { "on": false }], "size": 2 } }));
    let mut nothing = json!({});
    apply_defaults(&mut nothing, &schema());
    assert_eq!(nothing, json!({}));
}

#[test]
fn every_contradiction_is_reported_with_its_path() {
    let found = problems(json!({
        "name": "long", "size": 6, "mode": "c", "free": [], "map": { "k": "v" }, "amount": true,
        "list": [{ "key": 1 }, { "key": "a" }, { "key": "a" }], "ratio": "1", "bytes": "a", "code": "y",
    }));
    let expected = [
        "spec.amount: Invalid value: \"true\": must be a number or a string",
        "spec.bytes: Invalid value: \"a\": must be base64",
        "spec.code: Invalid value: \"y\": must match ^x+$",
        "spec.free: Invalid value: \"[]\": must be an object",
        "spec.list: Too long: must have at most 2 items",
        "spec.list[0].key: Invalid value: \"1\": must be a string",
        "spec.list[2]: Invalid value: \"a\": appears twice; each entry must be there once",
        "spec.map.k: Invalid value: \"v\": must be a whole number",
        "spec.mode: Unsupported value: \"c\": supported values: \"a\", \"B\"",
        "spec.name: Too long: must be at most 3 characters, is 4",
        "spec.ratio: Invalid value: \"1\": must be a number",
        "spec.size: Invalid value: \"6\": must be at most 5",
    ];
    assert_eq!(found, expected);
}

#[test]
fn whole_numbers_have_bounds_of_their_own() {
    let wide = problems(json!({ "name": "n", "size": 3_000_000_000i64 }));
    assert!(wide.contains(&"spec.size: Invalid value: \"3000000000\": must be a whole number of 32 bits".to_owned()));
    assert_eq!(
        problems(json!({ "name": "n", "size": 1.5 })),
        ["spec.size: Invalid value: \"1.5\": must be a whole number"]
    );
}

#[test]
fn the_number_of_problems_reported_is_bounded() {
    let map: Map<String, Value> = (0..200).map(|n| (n.to_string(), json!("no number"))).collect();
    assert_eq!(problems(json!({ "name": "n", "map": map })).len(), MAX_PROBLEMS);
}

#[test]
fn an_object_that_is_none_is_refused() {
    assert_eq!(check(&json!([1]), &schema())[0].to_string(), "Invalid value: \"[1]\": must be an object");
}
