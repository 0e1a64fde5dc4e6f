//! Rules of `Function`: references, files, variables and scale. Its optional blocks are in `function_blocks`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::function_blocks::check_blocks;
use super::names::{check_label, check_optional_label};
use super::package::relative_path_problem;
use super::podspec::check_pod_spec;
use super::{NameRule, Rules, check_not_negative, check_own_namespace};
use crate::crd::FieldDefault;
use crate::env_var::is_reserved_variable;
use crate::field_error::Found;
use crate::function::{ExecutorType, FunctionSpec, ObjectFileReference};
use crate::{Function, Network, NetworkError};

impl Rules for Function {
    const KIND: &'static str = "Function";
    const NAME: NameRule = NameRule::Label;
    const DEFAULTS: &'static [FieldDefault] =
        &[("spec.streaming.protocol", "\"auto\""), ("spec.versioning.mode", "\"auto\"")];

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        check_spec("spec", &self.spec, &self.metadata, found);
        if let Err(NetworkError { annotation, value, why }) = Network::of(&self.metadata) {
            found.invalid(format!("metadata.annotations[{annotation}]"), value, why);
        }
    }
}

/// Checks a function's spec, or the copy of one in a version.
pub(super) fn check_spec(path: &str, spec: &FunctionSpec, meta: &ObjectMeta, found: &mut Found) {
    check_own_namespace(&format!("{path}.environment.namespace"), &spec.environment.namespace, meta, found);
    check_optional_label(&format!("{path}.environment.name"), &spec.environment.name, found);
    let package = &spec.package.package_ref;
    check_own_namespace(&format!("{path}.package.packageref.namespace"), &package.namespace, meta, found);
    check_optional_label(&format!("{path}.package.packageref.name"), &package.name, found);
    check_files(&format!("{path}.secrets"), spec.secrets.as_deref(), meta, found);
    check_files(&format!("{path}.configmaps"), spec.configmaps.as_deref(), meta, found);
    check_env(&format!("{path}.env"), spec.env.as_deref().unwrap_or_default(), found);
    check_env_from(path, spec, found);
    for (name, value) in [
        ("functionTimeout", spec.function_timeout),
        ("idletimeout", spec.idle_timeout.unwrap_or_default()),
        ("concurrency", spec.concurrency),
        ("requestsPerPod", spec.requests_per_pod),
        ("retainPods", spec.retain_pods),
    ] {
        check_not_negative(&format!("{path}.{name}"), value, found);
    }
    check_scale(path, spec, found);
    if let Some(podspec) = &spec.podspec {
        check_pod_spec(&format!("{path}.podspec"), &podspec.0, found);
    } else if spec.executor_type() == ExecutorType::Container {
        found.required(format!("{path}.podspec"), "the container executor needs the user's own containers");
    }
    check_blocks(path, spec, found);
}

fn check_files(path: &str, files: Option<&[ObjectFileReference]>, meta: &ObjectMeta, found: &mut Found) {
    let mut directories: BTreeMap<String, usize> = BTreeMap::new();
    for (index, file) in files.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let own = meta.namespace.as_deref().unwrap_or_default();
        if !own.is_empty() && file.namespace != own {
            found.invalid(format!("{path}.namespace"), &file.namespace, format!("must be the function's own, {own:?}"));
        }
        check_label(&format!("{path}.name"), &file.name, found);
        if !file.mount_path.is_empty()
            && let Some(problem) = relative_path_problem(&file.mount_path)
        {
            found.invalid(format!("{path}.mountPath"), &file.mount_path, problem);
            continue;
        }
        let directory = match file.mount_path.as_str() {
            "" => format!("{}/{}", file.namespace, file.name),
            given => given.to_owned(),
        };
        if let Some(first) = directories.insert(directory.clone(), index) {
            found.invalid(path, directory, format!("entry {first} is already delivered to this directory"));
        }
    }
}

fn check_env(path: &str, env: &[EnvVar], found: &mut Found) {
    for (index, variable) in env.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = variable.name.as_str();
        if !is_variable_name(name) {
            let detail = "must be letters, digits, '_', '-' and '.', not beginning with a digit";
            found.invalid(format!("{path}.name"), name, detail);
        }
        if is_reserved_variable(name) {
            found.forbidden(format!("{path}.name"), format!("{name} is reserved for the platform; use another name"));
        }
        if env[..index].iter().any(|earlier| earlier.name == variable.name) {
            found.invalid(format!("{path}.name"), name, "appears twice; each variable must be there once");
        }
        let Some(source) = &variable.value_from else { continue };
        let known = usize::from(source.secret_key_ref.is_some()) + usize::from(source.config_map_key_ref.is_some());
        if source.field_ref.is_some() || source.resource_field_ref.is_some() || known != 1 {
            let detail = "must be exactly one of secretKeyRef and configMapKeyRef";
            found.forbidden(format!("{path}.valueFrom"), detail);
        } else if variable.value.as_ref().is_some_and(|value| !value.is_empty()) {
            found.forbidden(format!("{path}.valueFrom"), "may not be set together with value");
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn check_env_from(path: &str, spec: &FunctionSpec, found: &mut Found) {
    let sources: &[EnvFromSource] = spec.env_from.as_deref().unwrap_or_default();
    for (index, source) in sources.iter().enumerate() {
        if source.secret_ref.is_some() == source.config_map_ref.is_some() {
            found.invalid(format!("{path}.envFrom[{index}]"), "", "must be exactly one of secretRef and configMapRef");
        }
    }
    let files = |list: &Option<Vec<ObjectFileReference>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if !sources.is_empty()
        && spec.executor_type() == ExecutorType::Container
        && (files(&spec.secrets) || files(&spec.configmaps))
    {
        let detail = "may not be set together with secrets or configmaps on the container executor";
        found.forbidden(format!("{path}.envFrom"), detail);
    }
}

fn check_scale(path: &str, spec: &FunctionSpec, found: &mut Found) {
    let strategy = &spec.invoke_strategy.execution_strategy;
    let path = format!("{path}.InvokeStrategy.ExecutionStrategy");
    check_not_negative(&format!("{path}.SpecializationTimeout"), strategy.specialization_timeout, found);
    let executor = match spec.executor_type() {
        ExecutorType::Newdeploy => "newdeploy",
        ExecutorType::Container => "container",
        // The pool manager ignores scale.
        ExecutorType::Poolmgr | ExecutorType::Unset => return,
    };
    check_not_negative(&format!("{path}.MinScale"), strategy.min_scale, found);
    if strategy.max_scale <= 0 {
        let detail = format!("must be above 0 for executor type {executor}; it is the most instances there may be");
        found.invalid(format!("{path}.MaxScale"), strategy.max_scale, detail);
    } else if strategy.max_scale < strategy.min_scale {
        let detail = format!("must be at least MinScale, which is {}", strategy.min_scale);
        found.invalid(format!("{path}.MaxScale"), strategy.max_scale, detail);
    }
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
