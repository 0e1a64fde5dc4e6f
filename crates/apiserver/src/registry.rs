//! Which resources exist. One table: the core kinds of [`crate::core_kinds`], then every kind users declare.

use std::borrow::Cow;
use std::sync::LazyLock;

use fission_api::FieldError;
use fission_api::kinds::KINDS;
use serde_json::Value;

use crate::core_kinds::{self, CoreKind};
use crate::jsonpath::JsonPath;

/// Place of a resource in the registry; not stable across versions, so it is never stored.
pub(crate) type ResourceId = u16;

/// The id of namespaces: the first row of the table.
pub(crate) const NAMESPACES: ResourceId = 0;
/// The id of pods, which are a view of running instances.
pub(crate) const PODS: ResourceId = 1;
/// The id of CustomResourceDefinitions, which are a view of this table.
pub(crate) const CRDS: ResourceId = 2;

/// What makes a cell of a printed table.
#[derive(Clone)]
pub(crate) enum Cell {
    /// The value at a path; with `true`, a time shown as an age.
    Path(JsonPath, bool),
    /// Computed from the object.
    Computed(fn(&Value) -> Value),
}

/// A column of printed tables.
#[derive(Clone)]
pub(crate) struct Column {
    /// Heading.
    pub(crate) name: String,
    /// `string`, `integer`, `date`...
    pub(crate) kind: String,
    /// `name` for the column that holds the name, else empty.
    pub(crate) format: String,
    /// For people.
    pub(crate) description: String,
    /// 0 is always shown, larger only with `-o wide`.
    pub(crate) priority: i64,
    /// What is in it.
    pub(crate) cell: Cell,
}

/// One resource: a kind under a path.
pub(crate) struct Resource {
    /// Its place in the registry.
    pub(crate) id: ResourceId,
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    /// Version, the only one of its group.
    pub(crate) version: &'static str,
    /// `group/version`, or the version alone in the core group.
    pub(crate) api_version: String,
    /// Kind as written in manifests.
    pub(crate) kind: &'static str,
    /// Plural as written in paths.
    pub(crate) plural: &'static str,
    /// Singular as accepted by command lines.
    pub(crate) singular: &'static str,
    /// Shorter names.
    pub(crate) short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub(crate) namespaced: bool,
    /// Whether `/status` is separate.
    pub(crate) has_status: bool,
    /// Whether `metadata.generation` counts changes of what is wanted.
    pub(crate) has_generation: bool,
    /// A kind of Kubernetes itself: strategic merge patch works, and a replace needs no resource version.
    pub(crate) core: bool,
    /// Whether clients may write.
    pub(crate) writable: bool,
    /// Whether objects never reach the disk.
    pub(crate) in_memory: bool,
    /// The OpenAPI schema, without metadata: what fields there are and how lists merge.
    pub(crate) shape: Cow<'static, Value>,
    /// Columns after NAME.
    pub(crate) columns: Vec<Column>,
    /// Writes defaults.
    pub(crate) default: fn(&mut Value),
    /// Everything wrong with an object; `old` is the stored one on update.
    pub(crate) validate: fn(&Value, Option<&Value>) -> Vec<FieldError>,
}

impl Resource {
    /// `plural.group`, or the plural alone in the core group.
    pub(crate) fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Kind of a list of them.
    pub(crate) fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// What clients may do.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        if self.writable { ALL } else { &["get", "list", "watch"] }
    }
}

/// `group/version`, or the version alone in the core group.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    let core = core_kinds::CORE.iter().map(from_core);
    let declared = KINDS.iter().map(declared);
    let mut resources: Vec<Resource> = core.chain(declared).collect();
    for (at, resource) in resources.iter_mut().enumerate() {
        resource.id = u16::try_from(at).unwrap_or(u16::MAX);
    }
    resources
});

/// Every resource, in the order discovery lists them.
pub(crate) fn all() -> &'static [Resource] {
    &RESOURCES
}

/// The resource of an id that came from this registry.
pub(crate) fn by_id(id: ResourceId) -> Option<&'static Resource> {
    RESOURCES.get(usize::from(id))
}

/// The resource at a path.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|it| it.plural == plural && it.group == group && it.version == version)
}

/// The resource of a kind in a group.
pub(crate) fn by_kind(group: &str, kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|it| it.kind == kind && it.group == group)
}

/// Groups and their version, in order, the core group first.
pub(crate) fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups = Vec::new();
    for resource in all() {
        if !groups.contains(&(resource.group, resource.version)) {
            groups.push((resource.group, resource.version));
        }
    }
    groups
}

fn from_core(row: &CoreKind) -> Resource {
    Resource {
        id: 0,
        group: row.group,
        version: row.version,
        api_version: group_version(row.group, row.version),
        kind: row.kind,
        plural: row.plural,
        singular: row.singular,
        short_names: row.short_names,
        namespaced: row.namespaced,
        has_status: row.has_status,
        has_generation: false,
        core: true,
        writable: row.writable,
        in_memory: row.in_memory,
        shape: Cow::Owned((row.schema)()),
        columns: (row.columns)(),
        default: row.default,
        validate: row.validate,
    }
}

fn declared(info: &'static fission_api::kinds::KindInfo) -> Resource {
    let crd = serde_json::to_value((info.crd)()).unwrap_or_default();
    let version = &crd["spec"]["versions"][0];
    Resource {
        id: 0,
        group: fission_api::GROUP,
        version: fission_api::VERSION,
        api_version: group_version(fission_api::GROUP, fission_api::VERSION),
        kind: info.kind,
        plural: info.plural,
        singular: info.singular,
        short_names: info.short_names,
        namespaced: info.namespaced,
        has_status: info.has_status,
        has_generation: true,
        core: false,
        writable: true,
        in_memory: false,
        shape: Cow::Borrowed(info.schema()),
        columns: printer_columns(&version["additionalPrinterColumns"]),
        default: info.default,
        validate: info.validate,
    }
}

fn printer_columns(columns: &Value) -> Vec<Column> {
    let text = |column: &Value, key: &str| column[key].as_str().unwrap_or("").to_owned();
    let mut made: Vec<Column> = columns
        .as_array()
        .into_iter()
        .flatten()
        .map(|column| Column {
            name: text(column, "name"),
            kind: text(column, "type"),
            format: text(column, "format"),
            description: text(column, "description"),
            priority: column["priority"].as_i64().unwrap_or(0),
            cell: Cell::Path(JsonPath::parse(&text(column, "jsonPath")), column["type"] == "date"),
        })
        .collect();
    if made.is_empty() {
        made.push(age());
    }
    made
}

/// The column every kind has unless it says otherwise.
pub(crate) fn age() -> Column {
    Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: "Time since it was created.".to_owned(),
        priority: 0,
        cell: Cell::Path(JsonPath::parse(".metadata.creationTimestamp"), true),
    }
}
