//! The one table of kinds. Adding a kind is a file and a row here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::field_error::{FieldError, Problem};

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
    /// Writes the defaults the API server stores on create and update.
    pub default: fn(&mut Value),
    /// Everything wrong with an object; `old` is the stored one on update.
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

/// The kind of this name, as written in manifests.
pub fn kind(kind: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.kind == kind)
}

/// The kind of this plural, as written in paths.
pub fn by_plural(plural: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.plural == plural)
}

const fn row<K: CustomResourceExt + DeserializeOwned>(
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
        crd: K::crd,
        default: |_| {},
        validate: validate::<K>,
    }
}

fn validate<K: DeserializeOwned>(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    match serde_path_to_error::deserialize::<_, K>(new) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let path = match error.path().to_string() {
                root if root == "." => String::new(),
                path => path,
            };
            vec![FieldError {
                path,
                problem: Problem::Invalid,
                value: String::new(),
                detail: error.into_inner().to_string(),
            }]
        }
    }
}
