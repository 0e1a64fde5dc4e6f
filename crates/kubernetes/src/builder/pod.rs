//! What builder pods are made of: the builder image, and the fetcher beside it. Clean under `restricted` like every pod of
//! ours; the token is in the fetcher only, because builds run whatever their source says.

use fission_api::{Environment, labels};
use fission_rpc::signing::{self, derived};
use serde_json::{Value, json};

use super::Settings;
use crate::deployments::owner;
use crate::merge::{merge, merge_container, merge_users};
use crate::names::{self, name, namespace, short_hash, uid};
use crate::options::Options;
use crate::template::{self, AtStart, FETCHER, FETCHER_PORT};

/// Name of the container builds run in.
pub(crate) const BUILDER: &str = "builder";
/// Port of the builder service.
pub(crate) const BUILDER_PORT: u16 = 8001;
/// The directory both containers share.
const PACKAGES: &str = "/packages";
/// Most bytes of sources and results in one pod.
const PACKAGES_LIMIT: &str = "8Gi";
/// Names nobody else may have.
const OWN: [&str; 6] = [FETCHER, "packages", "podinfo", "tmp", "fetcher-tmp", "fetcher-token"];
/// Annotation: what a builder was made from.
pub(crate) const SPEC_HASH: &str = "fission.io/builder-spec-hash";
/// Label and its value of everything made for builders.
pub(crate) const OWNER: (&str, &str) = ("owner", "buildermgr");
/// Seconds a build that runs gets when its pod shall end.
const GRACE_SECONDS: i64 = 10;

/// Where the builder pods of an environment are.
pub(crate) fn pod_namespace(environment: &Environment, options: &Options) -> String {
    options.builder_namespace.clone().unwrap_or_else(|| namespace(environment).to_owned())
}

/// Selects the pods of one environment's builder.
pub(crate) fn selector(environment: &Environment) -> String {
    format!("{}={},{}={}", OWNER.0, OWNER.1, labels::ENVIRONMENT_UID, uid(environment))
}

/// The Deployment of an environment's builder. An error names the field of the environment that cannot be honoured.
pub(crate) fn deployment(environment: &Environment, settings: &Settings) -> Result<Value, String> {
    let options = &settings.options;
    let pod = pod(environment, settings)?;
    let hash = hash(environment, &pod, options);
    let labels = labels(environment);
    let mut annotations = template::annotations();
    annotations[SPEC_HASH] = json!(hash);
    let in_namespace = pod_namespace(environment, options);
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": names::builder(environment), "namespace": in_namespace, "labels": labels,
            "annotations": { SPEC_HASH: hash }, "ownerReferences": owner(environment, &in_namespace),
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "selector": { "matchLabels": { OWNER.0: OWNER.1, labels::ENVIRONMENT_UID: uid(environment) } },
            "template": { "metadata": { "labels": labels, "annotations": annotations }, "spec": pod },
        },
    }))
}

/// The Service of an environment's builder. We ask pods by their address; it is for people and their tools.
pub(crate) fn service(environment: &Environment, options: &Options) -> Value {
    let in_namespace = pod_namespace(environment, options);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": names::builder(environment), "namespace": in_namespace, "labels": labels(environment),
            "ownerReferences": owner(environment, &in_namespace),
        },
        "spec": {
            "clusterIP": "None",
            "selector": { OWNER.0: OWNER.1, labels::ENVIRONMENT_UID: uid(environment) },
            "ports": [
                { "name": "fetcher-port", "port": FETCHER_PORT, "targetPort": FETCHER_PORT },
                { "name": "builder-port", "port": BUILDER_PORT, "targetPort": BUILDER_PORT },
            ],
        },
    })
}

fn labels(environment: &Environment) -> Value {
    json!({
        "envName": name(environment),
        "envNamespace": namespace(environment),
        "envResourceVersion": environment.metadata.generation.unwrap_or_default().to_string(),
        OWNER.0: OWNER.1,
        labels::ENVIRONMENT_UID: uid(environment),
    })
}

/// What decides whether a pod must be made anew: its spec and its keys, never the version of its environment, which changes
/// with every status.
fn hash(environment: &Environment, pod: &Value, options: &Options) -> String {
    let in_namespace = pod_namespace(environment, options);
    let key = derived(&options.secret.current, signing::BUILDER, Some(&in_namespace));
    let parts = json!([pod, short_hash(&key, 8)]);
    short_hash(parts.to_string().as_bytes(), 8)
}

fn pod(environment: &Environment, settings: &Settings) -> Result<Value, String> {
    let (spec, options) = (&environment.spec, &settings.options);
    let mut pod = json!({
        "serviceAccountName": "fission-builder",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": template::pod_security(),
        "volumes": volumes(),
        "containers": [builder(environment, settings)?],
    });
    if !spec.imagepullsecret.is_empty() {
        pod["imagePullSecrets"] = json!([{ "name": spec.imagepullsecret }]);
    }
    if let Some(patch) = &options.builder_pod_patch {
        merge(&mut pod, patch);
    }
    if let Some(users) = &spec.builder.podspec {
        merge_users(&mut pod, &users.0, &OWN)?;
    }
    if let Some(containers) = pod["containers"].as_array_mut() {
        containers.push(fetcher(options));
    }
    // Whatever was merged: the token is the fetcher's, and nothing else of the pod has rights.
    pod["serviceAccountName"] = json!("fission-builder");
    pod["automountServiceAccountToken"] = json!(false);
    template::checked(&pod)?;
    Ok(pod)
}

fn builder(environment: &Environment, settings: &Settings) -> Result<Value, String> {
    let declared = &environment.spec.builder;
    let mut variables = template::sidecar_variables(&[("FISSION_BUILDER_KEY", "builderKey")], &settings.options);
    if let Some(variables) = variables.as_array_mut() {
        // A user without a name in the image has no home either.
        variables.extend([json!({ "name": "HOME", "value": "/tmp" }), json!({ "name": "TMPDIR", "value": "/tmp" })]);
    }
    let mut container = json!({
        "name": BUILDER,
        "image": declared.image,
        "imagePullPolicy": settings.pull_policy,
        "args": [PACKAGES],
        "ports": [{ "name": "builder-port", "containerPort": BUILDER_PORT }],
        "env": variables,
        "volumeMounts": [
            { "name": "packages", "mountPath": PACKAGES },
            { "name": "podinfo", "mountPath": "/etc/podinfo", "readOnly": true },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
        "startupProbe": {
            "httpGet": { "path": "/healthz", "port": BUILDER_PORT }, "periodSeconds": 1, "failureThreshold": 120,
        },
        "securityContext": template::container_security(false),
    });
    if let Some(users) = &declared.container {
        merge_container(&mut container, &users.0)?;
    }
    Ok(container)
}

fn fetcher(options: &Options) -> Value {
    let mut container = template::fetcher(&AtStart::Build, options, 0);
    container["volumeMounts"] = json!([
        { "name": "packages", "mountPath": PACKAGES },
        { "name": "podinfo", "mountPath": "/etc/podinfo", "readOnly": true },
        { "name": "fetcher-tmp", "mountPath": "/tmp" },
        { "name": "fetcher-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true },
    ]);
    container
}

fn volumes() -> Value {
    let field = |path: &str, field: &str| json!({ "path": path, "fieldRef": { "fieldPath": field } });
    json!([
        { "name": "packages", "emptyDir": { "sizeLimit": PACKAGES_LIMIT } },
        { "name": "tmp", "emptyDir": {} },
        { "name": "fetcher-tmp", "emptyDir": {} },
        { "name": "podinfo", "downwardAPI": { "items": [
            field("name", "metadata.name"), field("namespace", "metadata.namespace"),
        ] } },
        template::token_volume(),
    ])
}

#[cfg(test)]
#[path = "pod_tests.rs"]
pub(crate) mod tests;
