//! The one table of kinds. Adding a kind is a file and a row here.
//!
//! Whoever stores an object does, in this order: [`crate::structural::prune`] with [`KindInfo::schema`] (unknown fields
//! go), [`KindInfo::default`] (absent fields are filled), [`KindInfo::validate`] (schema and rules are checked).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::crd::{finish, schema};
use crate::field_error::{FieldError, Found, Problem};
use crate::rules::{self, Rules};
use crate::structural::{apply_defaults, check, prune};

/// What the platform knows of a kind without knowing its type.
pub struct KindInfo {
    /// Kind as written in manifests.
    pub kind: &'static str,
    /// Plural as written in paths.
    pub plural: &'static str,
    /// Singular as accepted by command lines.
    pub singular: &'static str,
    /// Shorter names accepted by command lines.
    pub short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether objects have a status, written through `/status` only.
    pub has_status: bool,
    /// The CustomResourceDefinition, generated from the Rust type.
    pub crd: fn() -> CustomResourceDefinition,
    /// Writes the defaults the API server stores on create and update. Prune first.
    pub default: fn(&mut Value),
    /// Everything wrong with an object; `old` is the stored one on update. Checks the schema first; an object that
    /// contradicts it is not looked at further. The API server, the webhook and the command line all call this.
    pub validate: fn(new: &Value, old: Option<&Value>) -> Vec<FieldError>,
}

/// Every kind, in the order tools list them.
pub static KINDS: &[KindInfo] = &[
    row::<crate::Function>("Function", "functions", "function", &["fn"]),
    row::<crate::Environment>("Environment", "environments", "environment", &[]),
    row::<crate::Package>("Package", "packages", "package", &["pkg"]),
    row::<crate::HTTPTrigger>("HTTPTrigger", "httptriggers", "httptrigger", &[]),
    row::<crate::TimeTrigger>("TimeTrigger", "timetriggers", "timetrigger", &[]),
    row::<crate::KubernetesWatchTrigger>(
        "KubernetesWatchTrigger",
        "kuberneteswatchtriggers",
        "kuberneteswatchtrigger",
        &[],
    ),
    row::<crate::MessageQueueTrigger>("MessageQueueTrigger", "messagequeuetriggers", "messagequeuetrigger", &[]),
    row::<crate::CanaryConfig>("CanaryConfig", "canaryconfigs", "canaryconfig", &[]),
    KindInfo {
        has_status: false,
        ..row::<crate::FunctionVersion>("FunctionVersion", "functionversions", "functionversion", &["fnver"])
    },
    row::<crate::FunctionAlias>("FunctionAlias", "functionaliases", "functionalias", &["fnalias"]),
    row::<crate::Workflow>("Workflow", "workflows", "workflow", &["wf"]),
    row::<crate::WorkflowRun>("WorkflowRun", "workflowruns", "workflowrun", &["wfr"]),
    KindInfo {
        namespaced: false,
        ..row::<crate::FissionTenant>("FissionTenant", "fissiontenants", "fissiontenant", &["ftenant"])
    },
];

impl KindInfo {
    /// The structural schema of the kind's only version.
    pub fn schema(&self) -> &'static Value {
        static EMPTY: Value = Value::Null;
        schema(self.kind).unwrap_or(&EMPTY)
    }
}

/// The kind of this name, as written in manifests.
pub fn kind(kind: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.kind == kind)
}

/// The kind of this plural, as written in paths.
pub fn by_plural(plural: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.plural == plural)
}

const fn row<K: Rules>(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: &'static [&'static str],
) -> KindInfo {
    KindInfo {
        kind,
        plural,
        singular,
        short_names,
        namespaced: true,
        has_status: true,
        crd: crd::<K>,
        default: default::<K>,
        validate: validate::<K>,
    }
}

fn crd<K: Rules>() -> CustomResourceDefinition {
    finish(K::crd(), K::DEFAULTS)
}

fn default<K: Rules>(object: &mut Value) {
    if let Some(schema) = schema(K::KIND) {
        apply_defaults(object, schema);
    }
    K::fill(object);
}

fn validate<K: Rules>(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(schema) = schema(K::KIND) else { return Vec::new() };
    if old.is_some_and(|old| only_ends::<K>(new, old)) {
        return Vec::new();
    }
    let errors = check(new, schema);
    if !errors.is_empty() {
        return errors;
    }
    let mut cleaned = new.clone();
    prune(&mut cleaned, schema);
    let object: K = match serde_path_to_error::deserialize(cleaned) {
        Ok(object) => object,
        Err(error) => return vec![unreadable(error)],
    };
    // A stored object that no longer parses must not keep its owner from replacing it.
    let old: Option<K> = old.and_then(|old| serde_json::from_value(old.clone()).ok());
    let mut found = Found::default();
    rules::check_name(object.meta(), K::NAME, &mut found);
    K::check(&object, old.as_ref(), &mut found);
    found.into_errors()
}

/// Whether a write does nothing but let an object go. Rules that came after it was stored must not hold it back.
fn only_ends<K: Rules>(new: &Value, old: &Value) -> bool {
    let ends = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
    if !ends(new) || !ends(old) {
        return false;
    }
    // Defaults that came later are in the new object already.
    let mut old = old.clone();
    default::<K>(&mut old);
    new["spec"] == old["spec"]
}

fn unreadable(error: serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let path = error.path().to_string();
    FieldError {
        path: if path == "." { String::new() } else { path },
        problem: Problem::Invalid,
        value: String::new(),
        detail: error.into_inner().to_string(),
    }
}

#[cfg(test)]
#[path = "kinds_tests.rs"]
mod tests;
