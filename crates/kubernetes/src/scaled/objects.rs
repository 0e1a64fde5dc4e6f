//! Deployment, Service and autoscaler of a function that Kubernetes scales.

use fission_api::{Environment, ExecutorType, Function, Opaque, Package, labels};
use serde_json::{Map, Value, json};

use crate::merge::merge_users;
use crate::names::{self, name, namespace, uid};
use crate::options::Options;
use crate::services::MANAGED_BY;
use crate::specialize;
use crate::template::{
    self, AtStart, RUNTIME_PORT, as_json, container_security, environment_labels, environment_pod, function_labels,
    may_have_network, pod_security,
};

/// Seconds after which a container whose port is not open is started again.
const STARTS_WITHIN_SECONDS: u32 = 300;
/// Seconds a pod of the user's own may take to end when it does not say.
const CONTAINER_GRACE: i64 = 360;
/// Processor use, in percent of what a pod asks for, above which there are more; when nothing else is said.
const CPU_TARGET: i64 = 80;
/// Annotation of the pods: what they were given. Its change replaces them.
const GIVEN: &str = "fission.io/given";

/// What a scaled function is made of, beside itself.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) environment: Option<&'a Environment>,
    pub(super) package: Option<&'a Package>,
    /// Changes when a secret, a config map or the package does.
    pub(super) given: String,
}

/// All objects of one function.
pub(super) struct Objects {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) deployment: Value,
    pub(super) service: Value,
    pub(super) autoscaler: Value,
}

/// The word of a strategy.
pub(super) fn word(function: &Function) -> &'static str {
    match function.spec.executor_type() {
        ExecutorType::Container => "container",
        _ => "newdeploy",
    }
}

/// Makes the objects. An error is for the user and names what is missing or cannot be honoured.
pub(super) fn objects(function: &Function, parts: &Parts<'_>, options: &Options) -> Result<Objects, String> {
    may_have_network(function)?;
    let word = word(function);
    let place = options.function_namespace.clone().unwrap_or_else(|| namespace(function).to_owned());
    let object_name = names::scaled(word, function);
    let (pod, main, port, mut all) = match word {
        "container" => container(function)?,
        _ => newdeploy(function, parts, options, &place)?,
    };
    all.insert(labels::EXECUTOR_TYPE.to_owned(), word.to_owned());
    all.extend(function_labels(function));
    let pod_labels = as_json(&all);
    all.insert(MANAGED_BY.to_owned(), "fission".to_owned());
    all.insert(labels::FUNCTION_GENERATION.to_owned(), function.metadata.generation.unwrap_or_default().to_string());
    let metadata = json!({ "name": object_name, "namespace": place, "labels": as_json(&all), "ownerReferences": owner(function, &place) });
    let selector = json!({ labels::FUNCTION_UID: uid(function), labels::EXECUTOR_TYPE: word });
    let mut annotations = template::annotations();
    annotations[GIVEN] = json!(parts.given);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        // Replicas are the autoscaler's, and ours when there is nobody to serve.
        "spec": {
            "revisionHistoryLimit": 0,
            "selector": { "matchLabels": selector },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "20%", "maxSurge": "20%" } },
            "template": { "metadata": { "labels": pod_labels, "annotations": annotations }, "spec": pod },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": { "selector": selector, "ports": [{ "name": "http-env", "port": 80, "targetPort": port }] },
    });
    let autoscaler = autoscaler(function, &metadata, &object_name, &main);
    Ok(Objects { name: object_name, namespace: place, deployment, service, autoscaler })
}

type Labels = std::collections::BTreeMap<String, String>;

/// The pod, the name of its main container, its port, and labels.
fn newdeploy(
    function: &Function,
    parts: &Parts<'_>,
    options: &Options,
    place: &str,
) -> Result<(Value, String, i64, Labels), String> {
    let environment = parts.environment.ok_or_else(|| {
        format!("environment {}/{} does not exist", namespace(function), function.spec.environment.name)
    })?;
    let package = parts.package.ok_or_else(|| {
        format!("package {}/{} does not exist", namespace(function), function.spec.package.package_ref.name)
    })?;
    let load = serde_json::to_string(&request(function, environment, package, options))
        .map_err(|error| format!("the function cannot be written down: {error}"))?;
    let mut pod = environment_pod(environment, Some(function), &AtStart::Load(load), options)?;
    // Servers that know nothing of variables in the load request have them from their start, where that is possible:
    // secrets are taken from the pod's own namespace.
    if place == namespace(function)
        && let Some(main) = pod["containers"].as_array_mut().and_then(|all| all.first_mut())
    {
        let mut all = main["env"].as_array().cloned().unwrap_or_default();
        all.extend(function.spec.env.iter().flatten().filter_map(|one| serde_json::to_value(one).ok()));
        main["env"] = Value::Array(all);
        if let Some(from) = &function.spec.env_from {
            main["envFrom"] = json!(from);
        }
    }
    let mut all = environment_labels(environment, "newdeploy");
    all.extend(function.metadata.labels.clone().unwrap_or_default());
    Ok((pod, name(environment).to_owned(), i64::from(RUNTIME_PORT), all))
}

/// What the fetcher of such a pod loads at its start.
fn request(
    function: &Function,
    environment: &Environment,
    package: &Package,
    options: &Options,
) -> crate::wire::SpecializeRequest {
    let load = fission_executor::backend::Load {
        function: std::sync::Arc::new(function.clone()),
        package: std::sync::Arc::new(package.clone()),
        code: fission_rpc::code::Code { path: Default::default(), digest: String::new() },
        configuration: Default::default(),
        filename: if environment.spec.version == 1 { "user" } else { "deployarchive" }.to_owned(),
        environment_version: environment.spec.version,
        timeout: std::time::Duration::ZERO,
    };
    let mut request = specialize::request(&load, environment.spec.keeparchive, &options.storage_url);
    // It is written into the pod's specification, which must stay small and must not change with every status.
    request.fetch.archive = None;
    request.fetch.package.resource_version = None;
    if let Some(metadata) = &mut request.load.metadata {
        metadata.resource_version = None;
        metadata.managed_fields = None;
    }
    if let Some(function) = &mut request.function {
        function.status = None;
        function.metadata.resource_version = None;
        function.metadata.managed_fields = None;
    }
    request
}

fn container(function: &Function) -> Result<(Value, String, i64, Labels), String> {
    let Some(Opaque(users)) = &function.spec.podspec else {
        return Err("a function of executor type container needs spec.podspec".to_owned());
    };
    let containers = users.get("containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let [users_main] = containers.as_slice() else {
        return Err(format!("spec.podspec must have exactly one container, not {}", containers.len()));
    };
    let ports = users_main.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let port = match ports.as_slice() {
        [port] => port.get("containerPort").and_then(Value::as_i64).unwrap_or_default(),
        _ => return Err(format!("its container must have exactly one port, not {}", ports.len())),
    };
    let main = name(function).to_owned();
    let mut own =
        json!({ "name": main, "securityContext": container_security(false), "imagePullPolicy": "IfNotPresent" });
    let (mut env_from, mut volumes, mut mounts) = (Vec::new(), Vec::new(), Vec::new());
    deliver(function, &mut env_from, &mut volumes, &mut mounts);
    own["resources"] = json!(function.spec.resources);
    own["env"] = json!(function.spec.env.clone().unwrap_or_default());
    own["envFrom"] = Value::Array(env_from);
    own["volumeMounts"] = Value::Array(mounts);
    // Without a probe a container is ready before its server listens, and the first requests would be refused.
    if !["startupProbe", "readinessProbe"].iter().any(|probe| users_main.get(probe).is_some()) {
        own["startupProbe"] =
            json!({ "tcpSocket": { "port": port }, "periodSeconds": 1, "failureThreshold": STARTS_WITHIN_SECONDS });
    }
    let mut pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": CONTAINER_GRACE,
        "securityContext": pod_security(),
        "volumes": volumes,
        "containers": [own],
    });
    let mut users = users.clone();
    let mut users_main = users_main.clone();
    users_main["name"] = json!(main);
    users.insert("containers".to_owned(), json!([users_main]));
    // What clients write for no pull secret at all.
    if let Some(secrets) = users.get_mut("imagePullSecrets").and_then(Value::as_array_mut) {
        secrets.retain(|secret| secret.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty()));
    }
    merge_users(&mut pod, &users, &[])?;
    template::checked(&pod)?;
    let mut all = function.metadata.labels.clone().unwrap_or_default();
    all.extend(function_labels(function));
    Ok((pod, main, port, all))
}

/// Secrets and config maps of a container: variables, or files where a place is named.
fn deliver(function: &Function, env_from: &mut Vec<Value>, volumes: &mut Vec<Value>, mounts: &mut Vec<Value>) {
    let spec = &function.spec;
    env_from.extend(spec.env_from.iter().flatten().filter_map(|from| serde_json::to_value(from).ok()));
    let kinds = [
        (&spec.secrets, "secret", "secretRef", "/secrets"),
        (&spec.configmaps, "configMap", "configMapRef", "/configs"),
    ];
    for (references, kind, from, root) in kinds {
        for (number, reference) in references.iter().flatten().enumerate() {
            if reference.mount_path.is_empty() {
                env_from.push(json!({ from: { "name": reference.name } }));
                continue;
            }
            let volume = format!("{}-{number}", kind.to_lowercase());
            let source = if kind == "secret" {
                json!({ "name": volume, "secret": { "secretName": reference.name, "defaultMode": 0o440 } })
            } else {
                json!({ "name": volume, "configMap": { "name": reference.name, "defaultMode": 0o440 } })
            };
            volumes.push(source);
            mounts.push(
                json!({ "name": volume, "mountPath": format!("{root}/{}", reference.mount_path), "readOnly": true }),
            );
        }
    }
}

fn owner(function: &Function, place: &str) -> Value {
    if namespace(function) != place {
        return json!([]);
    }
    json!([{ "apiVersion": "fission.io/v1", "kind": "Function", "name": name(function), "uid": uid(function) }])
}

fn autoscaler(function: &Function, metadata: &Value, target: &str, main: &str) -> Value {
    let strategy = &function.spec.invoke_strategy.execution_strategy;
    let least = strategy.min_scale.max(1);
    let cpu = |percent: i64| {
        json!({ "type": "ContainerResource", "containerResource": {
            "name": "cpu", "container": main, "target": { "type": "Utilization", "averageUtilization": percent },
        } })
    };
    let mut metrics: Vec<Value> = Vec::new();
    if (1..100).contains(&strategy.target_cpu_percent) {
        metrics.push(cpu(strategy.target_cpu_percent));
    }
    for Opaque(metric) in strategy.hpa_metrics.iter().flatten() {
        metrics.push(of_main(metric, main));
    }
    if metrics.is_empty() {
        metrics.push(cpu(CPU_TARGET));
    }
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target },
        "minReplicas": least, "maxReplicas": strategy.max_scale.max(least), "metrics": metrics,
    });
    if let Some(Opaque(behaviour)) = &strategy.hpa_behavior {
        spec["behavior"] = Value::Object(behaviour.clone());
    }
    json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec })
}

/// A metric of the whole pod counts the fetcher, which asks for next to nothing: the function's container is meant.
fn of_main(metric: &Map<String, Value>, main: &str) -> Value {
    let resource = metric.get("resource").and_then(Value::as_object);
    match resource {
        Some(resource) if metric.get("type").and_then(Value::as_str) == Some("Resource") => {
            let mut resource = resource.clone();
            resource.insert("container".to_owned(), json!(main));
            json!({ "type": "ContainerResource", "containerResource": resource })
        }
        _ => Value::Object(metric.clone()),
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
