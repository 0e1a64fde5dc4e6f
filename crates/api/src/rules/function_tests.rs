//! Rules of functions, one test each.

use serde_json::{Value, json};

use crate::rules::cases::{accepted_spec, refused_spec};

const KIND: &str = "Function";
const LABEL: &str = "must be lower-case letters, digits and '-', beginning and ending with a letter or digit";

fn strategy(executor: &str, min: i64, max: i64) -> Value {
    json!({ "ExecutionStrategy": { "ExecutorType": executor, "MinScale": min, "MaxScale": max } })
}

#[test]
fn environment_and_package_are_in_the_functions_namespace() {
    let detail = "must be empty or \"here\": references never cross namespaces";
    let problem = format!("spec.environment.namespace: Invalid value: \"there\": {detail}");
    refused_spec(KIND, json!({ "environment": { "namespace": "there" } }), &problem);
    let problem = format!("spec.package.packageref.namespace: Invalid value: \"there\": {detail}");
    refused_spec(KIND, json!({ "package": { "packageref": { "namespace": "there" } } }), &problem);
    accepted_spec(KIND, json!({ "environment": { "namespace": "" } }));
}

#[test]
fn environment_and_package_names_are_dns_labels() {
    let problem = format!("spec.environment.name: Invalid value: \"No.de\": {LABEL}");
    refused_spec(KIND, json!({ "environment": { "name": "No.de" } }), &problem);
    let problem = format!("spec.package.packageref.name: Invalid value: \"-p\": {LABEL}");
    refused_spec(KIND, json!({ "package": { "packageref": { "name": "-p" } } }), &problem);
}

#[test]
fn environment_package_and_strategy_keys_are_required() {
    for field in ["environment", "package", "InvokeStrategy"] {
        refused_spec(KIND, json!({ field: null }), &format!("spec.{field}: Required value"));
    }
}

#[test]
fn secrets_are_in_the_functions_own_namespace() {
    refused_spec(
        KIND,
        json!({ "secrets": [{ "namespace": "", "name": "s" }] }),
        "spec.secrets[0].namespace: Invalid value: \"\": must be the function's own, \"here\"",
    );
}

#[test]
fn a_secret_is_listed_once() {
    let one = json!({ "namespace": "here", "name": "s" });
    let two = json!({ "namespace": "here", "name": "s", "mountPath": "other" });
    let problem = "spec.secrets[1]: Invalid value: \"s\": appears twice; each entry must be there once";
    refused_spec(KIND, json!({ "secrets": [one, two] }), problem);
}

#[test]
fn mount_paths_stay_below_the_root_and_apart() {
    let with = |path: &str| json!({ "configmaps": [{ "namespace": "here", "name": "c", "mountPath": path }] });
    accepted_spec(KIND, with("a/b"));
    for (path, detail) in [
        ("/etc", "must be relative"),
        ("a/../..", "may not contain '..'"),
        ("a\\b", "may not contain '\\'"),
        ("a//b", "must be a clean path without empty or '.' parts"),
    ] {
        let problem = format!("spec.configmaps[0].mountPath: Invalid value: {path:?}: {detail}");
        refused_spec(KIND, with(path), &problem);
    }
    let both =
        json!([{ "namespace": "here", "name": "c" }, { "namespace": "here", "name": "d", "mountPath": "here/c" }]);
    let problem = "spec.configmaps[1]: Invalid value: \"here/c\": entry 0 is already delivered to this directory";
    refused_spec(KIND, json!({ "configmaps": both }), problem);
}

#[test]
fn variables_are_allowed_on_every_executor() {
    accepted_spec(
        KIND,
        json!({ "env": [{ "name": "A", "value": "1" }], "envFrom": [{ "secretRef": { "name": "s" } }] }),
    );
}

#[test]
fn reserved_variables_are_refused() {
    for name in
        ["FISSION_X", "LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS", "http_proxy", "NO_PROXY", "RESOURCE_VERSION_COUNT"]
    {
        let problem = format!("spec.env[0].name: Forbidden: {name} is reserved for the platform; use another name");
        refused_spec(KIND, json!({ "env": [{ "name": name, "value": "x" }] }), &problem);
    }
}

#[test]
fn variables_have_names_of_their_own() {
    let twice = json!({ "env": [{ "name": "A" }, { "name": "A" }] });
    let problem = "spec.env[1].name: Invalid value: \"A\": appears twice; each variable must be there once";
    refused_spec(KIND, twice, problem);
    let detail = "must be letters, digits, '_', '-' and '.', not beginning with a digit";
    let problem = format!("spec.env[0].name: Invalid value: \"1 A\": {detail}");
    refused_spec(KIND, json!({ "env": [{ "name": "1 A" }] }), &problem);
}

#[test]
fn variables_come_from_secrets_or_config_maps_only() {
    let from = |source: Value| json!({ "env": [{ "name": "A", "valueFrom": source }] });
    accepted_spec(KIND, from(json!({ "secretKeyRef": { "name": "s", "key": "k" } })));
    let problem = "spec.env[0].valueFrom: Forbidden: must be exactly one of secretKeyRef and configMapKeyRef";
    refused_spec(KIND, from(json!({ "fieldRef": { "fieldPath": "metadata.name" } })), problem);
}

#[test]
fn whole_object_variables_name_one_object() {
    let problem = "spec.envFrom[0]: Invalid value: \"\": must be exactly one of secretRef and configMapRef";
    refused_spec(KIND, json!({ "envFrom": [{ "prefix": "X_" }] }), problem);
}

#[test]
fn whole_object_variables_exclude_files_on_the_container_executor() {
    refused_spec(
        KIND,
        json!({ "InvokeStrategy": strategy("container", 0, 1), "podspec": { "containers": [] },
            "envFrom": [{ "secretRef": { "name": "s" } }], "secrets": [{ "namespace": "here", "name": "s" }] }),
        "spec.envFrom: Forbidden: may not be set together with secrets or configmaps on the container executor",
    );
}

#[test]
fn limits_are_not_negative() {
    for field in ["functionTimeout", "idletimeout", "concurrency", "requestsPerPod", "retainPods"] {
        let problem = format!("spec.{field}: Invalid value: \"-1\": may not be negative");
        refused_spec(KIND, json!({ field: -1 }), &problem);
        accepted_spec(KIND, json!({ field: 0 }));
    }
}

#[test]
fn the_executor_type_is_one_of_three_or_empty() {
    accepted_spec(KIND, json!({ "InvokeStrategy": strategy("", 0, 0) }));
    refused_spec(
        KIND,
        json!({ "InvokeStrategy": strategy("lambda", 0, 0) }),
        "spec.InvokeStrategy.ExecutionStrategy.ExecutorType: Unsupported value: \"lambda\": supported values: \"\", \
         \"poolmgr\", \"newdeploy\", \"container\"",
    );
}

#[test]
fn newdeploy_needs_a_maximum_scale_above_its_minimum() {
    accepted_spec(KIND, json!({ "InvokeStrategy": strategy("newdeploy", 0, 1) }));
    let at = "spec.InvokeStrategy.ExecutionStrategy";
    let detail = "must be above 0 for executor type newdeploy; it is the most instances there may be";
    let problem = format!("{at}.MaxScale: Invalid value: \"0\": {detail}");
    refused_spec(KIND, json!({ "InvokeStrategy": strategy("newdeploy", 0, 0) }), &problem);
    let problem = format!("{at}.MaxScale: Invalid value: \"2\": must be at least MinScale, which is 3");
    refused_spec(KIND, json!({ "InvokeStrategy": strategy("newdeploy", 3, 2) }), &problem);
    let problem = format!("{at}.MinScale: Invalid value: \"-1\": may not be negative");
    refused_spec(KIND, json!({ "InvokeStrategy": strategy("newdeploy", -1, 2) }), &problem);
}

#[test]
fn the_pool_manager_ignores_scale() {
    accepted_spec(KIND, json!({ "InvokeStrategy": strategy("poolmgr", 3, 0) }));
}

#[test]
fn the_cpu_target_is_a_percentage() {
    refused_spec(
        KIND,
        json!({ "InvokeStrategy": { "ExecutionStrategy": { "TargetCPUPercent": 101 } } }),
        "spec.InvokeStrategy.ExecutionStrategy.TargetCPUPercent: Invalid value: \"101\": must be at most 100",
    );
}

#[test]
fn the_container_executor_needs_a_pod() {
    refused_spec(
        KIND,
        json!({ "InvokeStrategy": strategy("container", 1, 2) }),
        "spec.podspec: Required value: the container executor needs the user's own containers",
    );
}

#[test]
fn the_users_pod_is_checked_as_an_environments_is() {
    refused_spec(
        KIND,
        json!({ "podspec": { "hostNetwork": true } }),
        "spec.podspec.hostNetwork: Forbidden: may not be set: functions are kept apart from the host",
    );
}

#[test]
fn a_wrong_type_is_reported_with_its_path() {
    let problem = "spec.concurrency: Invalid value: \"many\": must be a whole number";
    refused_spec(KIND, json!({ "concurrency": "many" }), problem);
    refused_spec(
        KIND,
        json!({ "environment": "node" }),
        "spec.environment: Invalid value: \"node\": must be an object",
    );
    refused_spec(
        KIND,
        json!({ "secrets": { "a": 1 } }),
        "spec.secrets: Invalid value: \"{\\\"a\\\":1}\": must be a list",
    );
}
