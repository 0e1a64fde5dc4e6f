//! What an object must satisfy beyond its schema: one file a kind, one trait.

mod environment;
mod function;
mod function_blocks;
mod http_trigger;
mod names;
mod package;
mod podspec;
mod route_path;
mod triggers;
mod versions;
mod workflow;
mod workflow_graph;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{CustomResourceExt, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::crd::FieldDefault;
use crate::field_error::Found;
use crate::go_duration::GoDuration;
use crate::reference::{FunctionReference, FunctionReferenceType};
pub use package::build_command_problem;

use names::{MAX_LABEL, check_label, check_optional_label, label_problem, subdomain_problem};

/// What names of a kind may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Other objects refer to it, and those references are DNS labels.
    Label,
    /// Nothing refers to it but labels' values, which may hold dots.
    Subdomain,
}

/// The rules of one kind.
pub(crate) trait Rules: CustomResourceExt + ResourceExt + DeserializeOwned {
    /// The kind's name.
    const KIND: &'static str;
    /// What its names may look like.
    const NAME: NameRule = NameRule::Subdomain;
    /// Defaults the schema publishes and the API server writes.
    const DEFAULTS: &'static [FieldDefault] = &[];

    /// Writes what a schema default cannot.
    fn fill(_object: &mut Value) {}

    /// Collects everything wrong; `old` is the stored object on update.
    fn check(&self, old: Option<&Self>, found: &mut Found);
}

/// Checks `metadata.name`. An absent name is left to the API server, which may generate one.
pub(crate) fn check_name(meta: &ObjectMeta, rule: NameRule, found: &mut Found) {
    let Some(name) = meta.name.as_deref().filter(|name| !name.is_empty()) else { return };
    if name.len() > MAX_LABEL {
        let detail = format!("must be at most {MAX_LABEL} characters, is {}; names become labels", name.len());
        return found.too_long("metadata.name", detail);
    }
    let problem = match rule {
        NameRule::Label => label_problem(name),
        NameRule::Subdomain => subdomain_problem(name),
    };
    if let Some(problem) = problem {
        found.invalid("metadata.name", name, problem);
    }
}

/// Checks that a namespace field is empty or the object's own namespace.
fn check_own_namespace(path: &str, namespace: &str, meta: &ObjectMeta, found: &mut Found) {
    let own = meta.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() && !own.is_empty() && namespace != own {
        found.invalid(path, namespace, format!("must be empty or {own:?}: references never cross namespaces"));
    }
}

/// Which functions a reference may name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Targets {
    /// One function, or several by weight.
    Any,
    /// One function, optionally by alias or version.
    One,
    /// One function by its plain name.
    Plain,
}

fn check_function_reference(path: &str, reference: &FunctionReference, targets: Targets, found: &mut Found) {
    let by_weight = reference.kind == FunctionReferenceType::Weights;
    if by_weight && targets != Targets::Any {
        return found.not_supported(format!("{path}.type"), "function-weights", &["name"]);
    }
    let named = !reference.alias.is_empty() || !reference.version.is_empty();
    if targets == Targets::Plain && (named || reference.functionweights.as_ref().is_some_and(|map| !map.is_empty())) {
        found.forbidden(path, "must name a function only, without alias, version or weights");
    }
    if !by_weight {
        check_label(&format!("{path}.name"), &reference.name, found);
        check_optional_label(&format!("{path}.alias"), &reference.alias, found);
        check_optional_label(&format!("{path}.version"), &reference.version, found);
        if !reference.alias.is_empty() && !reference.version.is_empty() {
            found.forbidden(format!("{path}.version"), "may not be set together with alias; use one of the two");
        }
        return;
    }
    if named {
        found.forbidden(path, "alias and version need type \"name\"");
    }
    check_weights(path, reference, found);
}

fn check_weights(path: &str, reference: &FunctionReference, found: &mut Found) {
    let path = format!("{path}.functionweights");
    let weights = reference.functionweights.clone().unwrap_or_default();
    if weights.len() != 2 {
        let detail = "must name exactly two functions with their percentages";
        return found.invalid(path, format!("{} entries", weights.len()), detail);
    }
    for (name, weight) in &weights {
        check_label(&format!("{path}[{name}]"), name, found);
        if !(0..=100).contains(weight) {
            found.invalid(format!("{path}[{name}]"), weight, "must be between 0 and 100");
        }
    }
    let sum = weights.values().fold(0i64, |sum, weight| sum.saturating_add(*weight));
    if sum != 100 {
        found.invalid(path, sum, "weights must add up to 100");
    }
}

/// Reads an optional duration field and refuses what is no Go duration, or negative.
fn check_duration(path: &str, text: &str, found: &mut Found) -> Option<GoDuration> {
    if text.is_empty() {
        return None;
    }
    match text.parse::<GoDuration>() {
        Ok(duration) if duration.nanos < 0 => {
            found.invalid(path, text, "may not be negative");
            None
        }
        Ok(duration) => Some(duration),
        Err(error) => {
            found.invalid(path, text, error.to_string());
            None
        }
    }
}

fn check_not_negative(path: &str, value: i64, found: &mut Found) {
    if value < 0 {
        found.invalid(path, value, "may not be negative");
    }
}

#[cfg(test)]
pub(crate) mod cases;
