//! Reading a schema: which fields exist, and whether lists and maps merge or are one value.

use std::sync::LazyLock;

use fission_api::structural;
use serde_json::Value;

use crate::core_kinds;

/// The schema of metadata, shared by all kinds.
static METADATA: LazyLock<Value> = LazyLock::new(core_kinds::metadata_schema);

/// A place in a schema. Where nothing is known, maps merge and lists are one value.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    node: Option<&'a Value>,
    root: bool,
}

/// How a list behaves in merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// One value.
    Atomic,
    /// Each scalar is an item of its own.
    Set,
    /// Items are told apart by these fields.
    Map(Vec<String>),
}

impl<'a> Shape<'a> {
    /// The root of an object's schema.
    pub(crate) fn of(schema: &'a Value) -> Self {
        Self { node: Some(schema), root: true }
    }

    /// The place below a field.
    pub(crate) fn field(self, name: &str) -> Shape<'a> {
        if self.root && name == "metadata" {
            return Shape { node: Some(&METADATA), root: false };
        }
        let node = self.node.and_then(|node| {
            node["properties"].get(name).or_else(|| node.get("additionalProperties").filter(|it| it.is_object()))
        });
        Shape { node, root: false }
    }

    /// The place of a list's items.
    pub(crate) fn items(self) -> Shape<'a> {
        Shape { node: self.node.and_then(|node| node.get("items")), root: false }
    }

    /// How a list at this place merges.
    pub(crate) fn list_kind(self) -> ListKind {
        let Some(node) = self.node else { return ListKind::Atomic };
        match node["x-kubernetes-list-type"].as_str() {
            Some("set") => ListKind::Set,
            Some("map") => {
                let keys = node["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                ListKind::Map(keys.filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => ListKind::Atomic,
        }
    }

    /// Whether a map at this place is one value.
    pub(crate) fn is_atomic_map(self) -> bool {
        self.node.is_some_and(|node| node["x-kubernetes-map-type"] == "atomic")
    }
}

/// Takes unknown fields out of an object, metadata included. Gives back their paths.
pub(crate) fn prune(object: &mut Value, schema: &Value) -> Vec<String> {
    let mut unknown = structural::prune(object, schema);
    if let Some(meta) = object.get_mut("metadata") {
        let below = structural::prune(meta, &METADATA);
        unknown.extend(below.into_iter().map(|path| format!("metadata.{path}")));
    }
    unknown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_taken_out_and_named() {
        let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": {
            "items": { "type": "array", "items": { "type": "object", "properties": { "a": { "type": "string" } } } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
        } } } });
        let object = json!({ "kind": "X", "metadata": { "name": "n", "nonsense": 1 }, "extra": 1,
            "spec": { "items": [{ "a": "1", "b": 2 }], "free": { "x": 1 }, "map": { "k": "v" }, "typo": 1 } });
        let mut left = object;
        let mut unknown = prune(&mut left, &schema);
        unknown.sort();
        assert_eq!(unknown, ["extra", "metadata.nonsense", "spec.items[0].b", "spec.typo"]);
        assert_eq!(
            left,
            json!({ "kind": "X", "metadata": { "name": "n" },
            "spec": { "items": [{ "a": "1" }], "free": { "x": 1 }, "map": { "k": "v" } } })
        );
    }

    #[test]
    fn metadata_lists_merge_as_kubernetes_merges_them() {
        let schema = json!({ "type": "object" });
        let metadata = Shape::of(&schema).field("metadata");
        assert_eq!(metadata.field("finalizers").list_kind(), ListKind::Set);
        assert_eq!(metadata.field("ownerReferences").list_kind(), ListKind::Map(vec!["uid".to_owned()]));
        assert_eq!(metadata.field("managedFields").list_kind(), ListKind::Atomic);
    }
}
