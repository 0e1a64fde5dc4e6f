//! The few kinds of Kubernetes itself that functions need. One row each; pods and CustomResourceDefinitions are views.

use fission_api::{FieldError, Problem};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret, ServiceAccount};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::jsonpath::JsonPath;
use crate::registry::{Cell, Column, age};

/// A row of the table of core kinds.
pub(crate) struct CoreKind {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    /// Version.
    pub(crate) version: &'static str,
    /// Kind.
    pub(crate) kind: &'static str,
    /// Plural.
    pub(crate) plural: &'static str,
    /// Singular.
    pub(crate) singular: &'static str,
    /// Shorter names.
    pub(crate) short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub(crate) namespaced: bool,
    /// Whether `/status` is separate.
    pub(crate) has_status: bool,
    /// Whether clients may write.
    pub(crate) writable: bool,
    /// Whether objects never reach the disk.
    pub(crate) in_memory: bool,
    /// The OpenAPI schema.
    pub(crate) schema: fn() -> Value,
    /// Columns after NAME.
    pub(crate) columns: fn() -> Vec<Column>,
    /// Writes defaults.
    pub(crate) default: fn(&mut Value),
    /// Everything wrong with an object.
    pub(crate) validate: fn(&Value, Option<&Value>) -> Vec<FieldError>,
}

const STORED: CoreKind = CoreKind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    namespaced: true,
    has_status: false,
    writable: true,
    in_memory: false,
    schema: open_schema,
    columns: || vec![age()],
    default: |_| {},
    validate: |_, _| Vec::new(),
};

/// Every core kind. The first three have fixed places, see [`crate::registry`].
pub(crate) static CORE: &[CoreKind] = &[
    CoreKind {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        has_status: true,
        schema: schema_of::<Namespace>,
        columns: || vec![path("Status", ".status.phase"), age()],
        default: default_namespace,
        validate: typed::<Namespace>,
        ..STORED
    },
    CoreKind {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        has_status: true,
        writable: false,
        in_memory: true,
        columns: crate::pods::columns,
        ..STORED
    },
    CoreKind {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        short_names: &["crd", "crds"],
        namespaced: false,
        has_status: true,
        in_memory: true,
        columns: || vec![path("Created At", ".metadata.creationTimestamp")],
        ..STORED
    },
    CoreKind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        schema: schema_of::<ConfigMap>,
        columns: || vec![computed("Data", |object| size(object, &["data", "binaryData"])), age()],
        validate: validate_config_map,
        ..STORED
    },
    CoreKind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        schema: schema_of::<Secret>,
        columns: || vec![path("Type", ".type"), computed("Data", |object| size(object, &["data"])), age()],
        default: default_secret,
        validate: validate_secret,
        ..STORED
    },
    CoreKind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        schema: schema_of::<Event>,
        columns: event_columns,
        validate: typed::<Event>,
        ..STORED
    },
    CoreKind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        schema: schema_of::<ServiceAccount>,
        columns: || vec![computed("Secrets", |object| size(object, &["secrets"])), age()],
        validate: typed::<ServiceAccount>,
        ..STORED
    },
    CoreKind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        schema: schema_of::<Lease>,
        columns: || vec![path("Holder", ".spec.holderIdentity"), age()],
        validate: typed::<Lease>,
        ..STORED
    },
];

/// How lists of core kinds merge, which the generated schemas do not say: path, and the key of its items.
const LIST_KEYS: &[(&str, &str)] = &[("/properties/secrets", "name"), ("/properties/imagePullSecrets", "name")];

fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    for (path, key) in LIST_KEYS {
        if let Some(list) = schema.pointer_mut(path).and_then(Value::as_object_mut) {
            list.insert("x-kubernetes-list-type".to_owned(), "map".into());
            list.insert("x-kubernetes-list-map-keys".to_owned(), json!([key]));
        }
    }
    if let Some(map) = schema.as_object_mut() {
        map.retain(|key, _| matches!(key.as_str(), "description" | "type" | "properties"));
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("metadata");
    }
    schema
}

/// The schema of objects' metadata, the same for every kind.
pub(crate) fn metadata_schema() -> Value {
    let mut schema = schema_of::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
    let lists = [("finalizers", "set", Value::Null), ("ownerReferences", "map", json!(["uid"]))];
    for (name, kind, keys) in lists {
        let list = &mut schema["properties"][name];
        list["x-kubernetes-list-type"] = kind.into();
        if !keys.is_null() {
            list["x-kubernetes-list-map-keys"] = keys;
            list["items"]["x-kubernetes-map-type"] = "atomic".into();
        }
    }
    schema["properties"]["managedFields"]["items"]["properties"]["fieldsV1"]["x-kubernetes-preserve-unknown-fields"] =
        true.into();
    schema
}

fn open_schema() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn typed<T: DeserializeOwned>(object: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    match T::deserialize(object) {
        Ok(_) => Vec::new(),
        Err(error) => vec![invalid("", "", &error.to_string())],
    }
}

fn invalid(path: &str, value: &str, detail: &str) -> FieldError {
    FieldError { path: path.to_owned(), problem: Problem::Invalid, value: value.to_owned(), detail: detail.to_owned() }
}

/// The map at a field, made if absent. `None` when something else is there, which validation then refuses.
fn map_at<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = object.as_object_mut()?.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
}

fn default_namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if let Some(labels) = object.get_mut("metadata").and_then(|meta| map_at(meta, "labels")) {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    if let Some(spec) = map_at(object, "spec") {
        spec.entry("finalizers").or_insert(json!(["kubernetes"]));
    }
    let phase = if object["metadata"]["deletionTimestamp"].is_null() { "Active" } else { "Terminating" };
    if let Some(status) = map_at(object, "status") {
        status.insert("phase".to_owned(), phase.into());
    }
}

fn default_secret(object: &mut Value) {
    use base64::Engine as _;
    let plain = object.as_object_mut().and_then(|object| object.remove("stringData"));
    if let (Some(Value::Object(plain)), Some(data)) = (plain, map_at(object, "data")) {
        for (key, value) in plain {
            let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or(""));
            data.insert(key, encoded.into());
        }
    }
    if object["type"].as_str().is_some_and(str::is_empty) || object["type"].is_null() {
        object["type"] = "Opaque".into();
    }
}

fn validate_config_map(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = typed::<ConfigMap>(object, old);
    errors.extend(data_keys(object, &["data", "binaryData"]));
    errors.extend(immutable(object, old, &["data", "binaryData"]));
    errors
}

fn validate_secret(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = typed::<Secret>(object, old);
    errors.extend(data_keys(object, &["data"]));
    errors.extend(immutable(object, old, &["data"]));
    if old.is_some_and(|old| old["type"] != object["type"]) {
        let value = object["type"].as_str().unwrap_or("").to_owned();
        let detail = "field is immutable".to_owned();
        errors.push(FieldError { path: "type".to_owned(), problem: Problem::Immutable, value, detail });
    }
    errors
}

fn data_keys(object: &Value, maps: &[&str]) -> Vec<FieldError> {
    let valid = |key: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !key.is_empty() && key.len() <= 253 && key.chars().all(plain) && key != "." && !key.starts_with("..")
    };
    let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                  'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let keys =
        maps.iter().flat_map(|map| object[map].as_object().into_iter().flatten().map(move |(key, _)| (map, key)));
    keys.filter(|(_, key)| !valid(key)).map(|(map, key)| invalid(&format!("{map}[{key}]"), key, detail)).collect()
}

fn immutable(object: &Value, old: Option<&Value>, maps: &[&str]) -> Vec<FieldError> {
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return Vec::new() };
    let changed = maps.iter().chain(&["immutable"]).filter(|field| object[**field] != old[**field]);
    changed
        .map(|field| FieldError {
            path: (*field).to_owned(),
            problem: Problem::Forbidden,
            value: String::new(),
            detail: "field is immutable when `immutable` is set".to_owned(),
        })
        .collect()
}

/// A column that shows what is at a path.
pub(crate) fn path(name: &str, at: &str) -> Column {
    Column { cell: Cell::Path(JsonPath::parse(at), false), ..column(name) }
}

/// A column that is computed.
pub(crate) fn computed(name: &str, cell: fn(&Value) -> Value) -> Column {
    Column { cell: Cell::Computed(cell), ..column(name) }
}

fn column(name: &str) -> Column {
    Column { name: name.to_owned(), kind: "string".to_owned(), description: String::new(), ..age() }
}

fn size(object: &Value, fields: &[&str]) -> Value {
    let of =
        |value: &Value| value.as_object().map(serde_json::Map::len).or(value.as_array().map(Vec::len)).unwrap_or(0);
    fields.iter().map(|field| of(&object[field])).sum::<usize>().into()
}

fn event_columns() -> Vec<Column> {
    let last_seen = computed("Last Seen", |event| {
        let times = [&event["lastTimestamp"], &event["series"]["lastObservedTime"], &event["eventTime"]];
        let created = &event["metadata"]["creationTimestamp"];
        times
            .into_iter()
            .find(|time| time.is_string())
            .unwrap_or(created)
            .as_str()
            .map_or(Value::Null, crate::table::ago)
    });
    let object = computed("Object", |event| {
        let object = &event["involvedObject"];
        format!("{}/{}", object["kind"].as_str().unwrap_or("").to_lowercase(), object["name"].as_str().unwrap_or(""))
            .into()
    });
    let wide = |column: Column| Column { priority: 1, ..column };
    vec![
        last_seen,
        path("Type", ".type"),
        path("Reason", ".reason"),
        object,
        wide(path("Source", ".source.component")),
        path("Message", ".message"),
        wide(path("Count", ".count")),
    ]
}

#[cfg(test)]
#[path = "core_kinds_tests.rs"]
mod tests;
