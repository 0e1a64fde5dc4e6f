//! What pods of functions are made of: the environment's container, the fetcher beside it, and what both share.
//!
//! Every pod is clean under the Pod Security level `restricted` and OpenShift's `restricted-v2`: no uid, gid or fsGroup is
//! named, no capability kept, and what is written is an emptyDir. The service account's token is in the fetcher only.

use std::collections::BTreeMap;

use fission_api::{Environment, Function, Network, labels};
use serde_json::{Map, Value, json};

use crate::merge::{merge, merge_container, merge_users};
use crate::names::{name, namespace, short_hash, uid};
use crate::options::Options;

/// Name of the sidecar's container.
pub(crate) const FETCHER: &str = "fetcher";
/// Port of the sidecar.
pub(crate) const FETCHER_PORT: u16 = 8000;
/// Port of an environment.
pub(crate) const RUNTIME_PORT: u16 = 8888;
/// The Secret of a function namespace with the keys that pods may hold.
pub(crate) const KEYS: &str = "fission-internal-auth-keys";
/// Volumes that are ours.
const VOLUMES: [&str; 6] = ["userfunc", "secrets", "configmaps", "podinfo", "tmp", "fetcher-token"];
/// Names nobody else may have.
const OWN: [&str; 8] = [FETCHER, VOLUMES[0], VOLUMES[1], VOLUMES[2], VOLUMES[3], VOLUMES[4], VOLUMES[5], "fetcher-tmp"];
/// Annotation: which keys a pod's sidecar knows.
const KEY_SCHEME: &str = "fission.io/auth-key-scheme";
/// Label: what an instance was made from.
pub(crate) const RUNTIME_HASH: &str = "fission.io/env-runtime-hash";
/// Longest pause before a pod that shall end is told so: routers have heard of it by then.
const SLEEP_SECONDS: i64 = 5;

/// Identifies what instances of an environment are made from; a label of their pods.
pub(crate) fn runtime_hash(environment: &Environment, options: &Options) -> String {
    let spec = &environment.spec;
    let parts = json!([
        spec.runtime,
        spec.resources,
        spec.grace_seconds(),
        spec.imagepullsecret,
        spec.allow_access_to_external_network,
        environment.metadata.labels,
        options.runtime_pod_patch,
    ]);
    short_hash(parts.to_string().as_bytes(), 8)
}

/// Labels of everything made for an environment.
pub(crate) fn environment_labels(environment: &Environment, executor_type: &str) -> BTreeMap<String, String> {
    let mut all = environment.metadata.labels.clone().unwrap_or_default();
    all.extend(pairs([
        (labels::EXECUTOR_TYPE, executor_type),
        (labels::ENVIRONMENT_NAME, name(environment)),
        (labels::ENVIRONMENT_NAMESPACE, namespace(environment)),
        (labels::ENVIRONMENT_UID, uid(environment)),
    ]));
    all
}

/// Labels of everything made for a function.
pub(crate) fn function_labels(function: &Function) -> BTreeMap<String, String> {
    pairs([
        (labels::FUNCTION_NAME, name(function)),
        (labels::FUNCTION_NAMESPACE, namespace(function)),
        (labels::FUNCTION_UID, uid(function)),
    ])
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What a pod's fetcher does at its start.
pub(crate) enum AtStart {
    /// Waits to be told what to load, beside an environment.
    Wait,
    /// Waits to be told what to fetch and store, beside a builder.
    Build,
    /// Loads this: the body of a `/specialize` request.
    Load(String),
}

/// The template of an environment's pods, without labels that only its owner knows. An error names the field of the
/// environment that cannot be honoured.
pub(crate) fn environment_pod(
    environment: &Environment,
    function: Option<&Function>,
    at_start: &AtStart,
    options: &Options,
) -> Result<Value, String> {
    let spec = &environment.spec;
    let image = &spec.runtime.image;
    if fission_environments::is_built_in_wasm(image) {
        return Err(format!(
            "image {image} is none: WebAssembly runs inside the platform's own process, on one machine (fission up) only; \
             put the component into an image with a runtime of its own, or use a language's environment"
        ));
    }
    let main = main_container(environment, function, options)?;
    let mut pod = json!({
        "serviceAccountName": "fission-fetcher",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": spec.grace_seconds(),
        "securityContext": pod_security(),
        "volumes": volumes(),
        "containers": [main],
    });
    if !spec.imagepullsecret.is_empty() {
        pod["imagePullSecrets"] = json!([{ "name": spec.imagepullsecret }]);
    }
    if let Some(patch) = &options.runtime_pod_patch {
        merge(&mut pod, patch);
    }
    if let Some(users) = &spec.runtime.podspec {
        merge_users(&mut pod, &users.0, &OWN)?;
    }
    if let Some(containers) = pod["containers"].as_array_mut() {
        containers.push(fetcher(at_start, options, spec.grace_seconds()));
    }
    // Whatever was merged: the token is the fetcher's, and nothing else of the pod has rights.
    pod["serviceAccountName"] = json!("fission-fetcher");
    pod["automountServiceAccountToken"] = json!(false);
    checked(&pod)?;
    Ok(pod)
}

/// What pods may reach is the cluster's to say: a function that asks this platform to keep it from the network is refused
/// rather than run with all of it. The error is for the user.
pub(crate) fn may_have_network(function: &Function) -> Result<(), String> {
    match Network::of(&function.metadata).map_err(|error| error.to_string())? {
        Network::Host => Ok(()),
        network => Err(format!(
            "the function asks for {}: {}, which pods are not kept to; write a NetworkPolicy and remove the annotation",
            labels::NETWORK,
            network.word()
        )),
    }
}

/// Reads it as Kubernetes will, so that a wrong type is told with its place instead of being refused far away.
pub(crate) fn checked(pod: &Value) -> Result<(), String> {
    let read: Result<k8s_openapi::api::core::v1::PodSpec, _> = serde_json::from_value(pod.clone());
    read.map(|_| ()).map_err(|error| format!("the pod spec that was merged is none: {error}"))
}

fn main_container(environment: &Environment, function: Option<&Function>, options: &Options) -> Result<Value, String> {
    let spec = &environment.spec;
    let mut main = json!({
        "name": name(environment),
        "image": spec.runtime.image,
        "imagePullPolicy": options.runtime_pull_policy,
        "ports": [
            { "name": "http-fetcher", "containerPort": FETCHER_PORT },
            { "name": "http-env", "containerPort": RUNTIME_PORT },
        ],
        // A user without a name in the image has no home either.
        "env": [{ "name": "HOME", "value": "/tmp" }, { "name": "TMPDIR", "value": "/tmp" }],
        "resources": spec.resources,
        "volumeMounts": mounts("tmp", false),
        // Only until it listens: a probe that goes on costs every node a process or a connection each second.
        "startupProbe": {
            "tcpSocket": { "port": RUNTIME_PORT }, "periodSeconds": 1, "failureThreshold": 120,
        },
        "securityContext": container_security(false),
    });
    if let Some(function) = function {
        let own = serde_json::to_value(&function.spec.resources).unwrap_or_default();
        for part in ["requests", "limits"] {
            for (resource, value) in own.get(part).and_then(Value::as_object).into_iter().flatten() {
                main["resources"][part][resource] = value.clone();
            }
        }
    }
    drain_hook(&mut main, spec.grace_seconds(), options);
    if let Some(container) = &spec.runtime.container {
        merge_container(&mut main, &container.0)?;
    }
    Ok(main)
}

/// Lets routers hear of a pod's end before its processes do.
fn drain_hook(container: &mut Value, grace: i64, options: &Options) {
    let seconds = SLEEP_SECONDS.min(grace / 2);
    if options.has_sleep_action && seconds > 0 {
        container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": seconds } } });
    }
}

/// The sidecar.
pub(crate) fn fetcher(at_start: &AtStart, options: &Options, grace: i64) -> Value {
    let mut args = vec!["fetcher".to_owned()];
    if let AtStart::Load(request) = at_start {
        args.extend(["--specialize".to_owned(), request.clone()]);
    }
    // A generic pod is ready when its environment listens: then a function can be loaded at once.
    let started = if matches!(at_start, AtStart::Wait) { "/readiness-healthz" } else { "/healthz" };
    let mut container = json!({
        "name": FETCHER,
        "image": options.fetcher_image,
        "imagePullPolicy": options.fetcher_pull_policy,
        "args": args,
        "env": sidecar_variables(&[("FISSION_FETCHER_KEY", "fetcherKey"), ("FISSION_STORAGE_KEY", "storageKey")], options),
        "resources": options.fetcher_resources,
        "volumeMounts": mounts("fetcher-tmp", true),
        "startupProbe": {
            "httpGet": { "path": started, "port": FETCHER_PORT }, "periodSeconds": 1, "failureThreshold": 300,
        },
        "livenessProbe": { "httpGet": { "path": "/healthz", "port": FETCHER_PORT }, "periodSeconds": 10 },
        "securityContext": container_security(true),
    });
    if matches!(at_start, AtStart::Load(_)) {
        container["readinessProbe"] = json!({
            "httpGet": { "path": "/readiness-healthz", "port": FETCHER_PORT }, "periodSeconds": 1, "failureThreshold": 30,
        });
    }
    drain_hook(&mut container, grace, options);
    container
}

/// Variables of a sidecar: where it is, and the keys it holds.
pub(crate) fn sidecar_variables(keys: &[(&str, &str)], options: &Options) -> Value {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mut all = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        json!({ "name": "FISSION_STORAGE_URL", "value": options.storage_url }),
    ];
    if !options.insecure_registries.is_empty() {
        let registries = options.insecure_registries.join(",");
        all.push(json!({ "name": "FETCHER_ALLOW_INSECURE_REGISTRIES", "value": registries }));
    }
    let secret = |variable: String, key: String, optional: bool| json!({ "name": variable, "valueFrom": { "secretKeyRef": { "name": KEYS, "key": key, "optional": optional } } });
    for (variable, key) in keys {
        all.push(secret((*variable).to_owned(), (*key).to_owned(), false));
        all.push(secret(format!("{variable}_OLD"), format!("{key}Old"), true));
    }
    Value::Array(all)
}

fn mounts(tmp: &str, with_token: bool) -> Value {
    let mut all = vec![
        json!({ "name": "userfunc", "mountPath": "/userfunc" }),
        json!({ "name": "secrets", "mountPath": "/secrets" }),
        json!({ "name": "configmaps", "mountPath": "/configs" }),
        json!({ "name": "podinfo", "mountPath": "/etc/podinfo", "readOnly": true }),
        json!({ "name": tmp, "mountPath": "/tmp" }),
    ];
    if with_token {
        all.push(json!({
            "name": "fetcher-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true,
        }));
    }
    Value::Array(all)
}

fn volumes() -> Value {
    let empty = |name: &str| json!({ "name": name, "emptyDir": {} });
    let field = |path: &str, field: &str| json!({ "path": path, "fieldRef": { "fieldPath": field } });
    json!([
        empty("userfunc"),
        // In memory: a node's disk keeps nothing of them.
        { "name": "secrets", "emptyDir": { "medium": "Memory" } },
        empty("configmaps"),
        empty("tmp"),
        empty("fetcher-tmp"),
        { "name": "podinfo", "downwardAPI": { "items": [
            field("name", "metadata.name"), field("namespace", "metadata.namespace"),
        ] } },
        token_volume(),
    ])
}

/// The service account's token, for the sidecar alone.
pub(crate) fn token_volume() -> Value {
    json!({ "name": "fetcher-token", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
    ] } })
}

/// What a pod may do.
pub(crate) fn pod_security() -> Value {
    json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } })
}

/// What a container may do.
pub(crate) fn container_security(read_only: bool) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if read_only {
        context["readOnlyRootFilesystem"] = json!(true);
    }
    context
}

/// Annotations of every pod with a fetcher.
pub(crate) fn annotations() -> Value {
    json!({ KEY_SCHEME: "namespace" })
}

/// Labels as JSON.
pub(crate) fn as_json(labels: &BTreeMap<String, String>) -> Value {
    Value::Object(labels.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect::<Map<_, _>>())
}

#[cfg(test)]
#[path = "template_tests.rs"]
pub(crate) mod tests;
