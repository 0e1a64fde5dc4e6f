//! Tests of the table of core kinds.

use super::*;
use crate::registry::{self, CRDS, NAMESPACES, PODS};

#[test]
fn the_kinds_with_fixed_places_are_in_them() {
    assert_eq!(registry::by_id(NAMESPACES).unwrap().plural, "namespaces");
    assert_eq!(registry::by_id(PODS).unwrap().plural, "pods");
    assert_eq!(registry::by_id(CRDS).unwrap().plural, "customresourcedefinitions");
}

#[test]
fn plain_text_in_a_secret_is_folded_into_its_data() {
    let mut secret = json!({ "data": { "old": "b2xk" }, "stringData": { "a": "plain" } });
    default_secret(&mut secret);
    assert_eq!(secret, json!({ "data": { "old": "b2xk", "a": "cGxhaW4=" }, "type": "Opaque" }));
}

#[test]
fn a_secret_that_is_not_base64_is_refused() {
    assert!(!validate_secret(&json!({ "metadata": {}, "data": { "a": "%%%" } }), None).is_empty());
    assert!(validate_secret(&json!({ "metadata": {}, "data": { "a": "YQ==" } }), None).is_empty());
}

#[test]
fn an_immutable_config_map_stays_as_it_is() {
    let old = json!({ "metadata": {}, "immutable": true, "data": { "a": "1" } });
    let new = json!({ "metadata": {}, "immutable": true, "data": { "a": "2" } });
    assert_eq!(validate_config_map(&new, Some(&old))[0].path, "data");
    assert!(validate_config_map(&old, Some(&old)).is_empty());
}

#[test]
fn a_config_map_key_with_a_slash_is_refused() {
    assert_eq!(validate_config_map(&json!({ "metadata": {}, "data": { "a/b": "1" } }), None)[0].path, "data[a/b]");
}
