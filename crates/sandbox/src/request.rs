//! What is read from API objects to start an instance and to load a function.

use std::collections::BTreeMap;

use bytes::Bytes;
use fission_api::{Environment, Function, Opaque, check_variable_name, literal_variables};
use fission_executor::backend::Load;
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde::Serialize;

/// Where programs of the system are.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables every instance has. They come first, so that an environment or the user may change them.
const VARIABLES: [(&str, &str); 5] = [
    ("PATH", SEARCH_PATH),
    ("LANG", "C.UTF-8"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    // The code is read-only.
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// `namespace/name` of an environment.
pub(crate) fn name_of(environment: &Environment) -> String {
    let meta = &environment.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The resources that count: the function's when the instance is made for one and it declares any.
pub(crate) fn resources<'a>(environment: &'a Environment, function: Option<&'a Function>) -> &'a ResourceRequirements {
    function
        .map(|function| &function.spec.resources)
        .filter(|resources| resources.limits.is_some() || resources.requests.is_some())
        .unwrap_or(&environment.spec.resources)
}

/// The environment variables an instance starts with: ours, the runtime's, the environment's, the function's own where
/// the instance is made for one; a later one wins. Those a function takes from elsewhere come with its code. An error
/// names the variable that cannot be had.
pub(crate) fn variables(
    runtime: &[(String, String)],
    environment: &Environment,
    function: Option<&Function>,
) -> Result<Vec<(String, String)>, String> {
    let mut all: Vec<(String, String)> =
        VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut set = |name: &str, value: &str| {
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value.to_owned()));
    };
    for (name, value) in runtime {
        set(name, value);
    }
    let runtime = &environment.spec.runtime;
    for (name, value) in literal_variables(runtime.podspec.as_ref(), runtime.container.as_ref())? {
        set(&name, &value);
    }
    for entry in function.and_then(|function| function.spec.env.as_ref()).into_iter().flatten() {
        check_variable_name(&entry.name)?;
        if entry.value_from.is_none() {
            set(&entry.name, entry.value.as_deref().unwrap_or_default());
        }
    }
    Ok(all)
}

/// The environment variables of a build: those given, then those of the environment's builder; a later one wins.
pub(crate) fn builder_variables(
    mut all: Vec<(String, String)>,
    environment: &Environment,
) -> Result<Vec<(String, String)>, String> {
    let builder = &environment.spec.builder;
    for (name, value) in literal_variables(builder.podspec.as_ref(), builder.container.as_ref())? {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    Ok(all)
}

/// The resources an environment declares for its builder.
pub(crate) fn builder_resources(environment: &Environment) -> Result<Option<ResourceRequirements>, String> {
    let container = environment.spec.builder.container.as_ref();
    let Some(declared) = container.and_then(|Opaque(container)| container.get("resources")) else { return Ok(None) };
    let read = serde_json::from_value(declared.clone());
    read.map(Some)
        .map_err(|error| format!("builder.container.resources of environment {}: {error}", name_of(environment)))
}

/// Body of `/v2/specialize`.
#[derive(Serialize)]
struct Specialize<'a> {
    filepath: &'a str,
    #[serde(rename = "functionName")]
    function_name: &'a str,
    url: &'a str,
    #[serde(rename = "FunctionMetadata")]
    metadata: &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    #[serde(rename = "envVersion")]
    version: i64,
    /// An addition to the contract: variables to set before the code is loaded. Servers that do not know it ignore it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: &'a BTreeMap<String, String>,
}

/// Body of `/v2/specialize`. `filepath`: where the instance sees the code.
pub(crate) fn specialize_body(load: &Load, filepath: &str) -> Result<Bytes, serde_json::Error> {
    let body = Specialize {
        filepath,
        function_name: &load.function.spec.package.function_name,
        url: "",
        metadata: &load.function.metadata,
        version: load.environment_version,
        env: &load.configuration.env,
    };
    serde_json::to_vec(&body).map(Bytes::from)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
