//! The CRDs against the contract.

use super::*;

/// The schema node at a dotted path; `[]` steps into a list's items.
fn node(kind: &str, path: &str) -> Value {
    let mut node = schema(kind).expect("a known kind");
    for segment in path.split('.') {
        node = &node["properties"][segment.trim_end_matches("[]")];
        if segment.ends_with("[]") {
            node = &node["items"];
        }
    }
    node.clone()
}

fn visit(node: &Value, path: &str, see: &mut dyn FnMut(&str, &Value)) {
    see(path, node);
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        visit(child, &format!("{path}.{name}"), see);
    }
    for inner in ["items", "additionalProperties"] {
        if node[inner].is_object() {
            visit(&node[inner], &format!("{path}[]"), see);
        }
    }
}

#[test]
fn the_table_and_the_crds_agree() {
    for info in KINDS {
        let crd = (info.crd)();
        assert_eq!(crd.metadata.name, Some(format!("{}.fission.io", info.plural)));
        assert_eq!(crd.metadata.labels.unwrap_or_default().get("group").map(String::as_str), Some("fission.io"));
        assert_eq!(crd.spec.names.kind, info.kind);
        assert_eq!(crd.spec.names.singular.as_deref(), Some(info.singular), "{}", info.kind);
        assert_eq!(crd.spec.names.short_names.unwrap_or_default(), info.short_names, "{}", info.kind);
        assert_eq!(crd.spec.scope, if info.namespaced { "Namespaced" } else { "Cluster" }, "{}", info.kind);
        let version = &crd.spec.versions[0];
        assert!(version.served && version.storage && version.name == "v1");
        let status = version.subresources.as_ref().is_some_and(|all| all.status.is_some());
        assert_eq!(status, info.has_status, "{}", info.kind);
        assert_eq!(info.schema()["properties"]["status"].is_object(), info.has_status, "{}", info.kind);
        assert_eq!(info.schema()["required"], json!(["metadata", "spec"]), "{}", info.kind);
    }
}

#[test]
fn every_field_has_a_type_or_keeps_what_it_is_given() {
    for info in KINDS {
        visit(info.schema(), info.kind, &mut |path, node| {
            let free = ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"];
            let structural = node["type"].is_string() || free.iter().any(|key| node[*key] == true);
            assert!(structural, "{path} is not structural: {node}");
            for word in ["$ref", "oneOf", "anyOf", "allOf"] {
                let int_or_string = word == "anyOf" && node["x-kubernetes-int-or-string"] == true;
                assert!(node.get(word).is_none() || int_or_string, "{path} has {word}");
            }
        });
    }
}

#[test]
fn only_the_contracts_defaults_are_published() {
    let mut defaults = Vec::new();
    for info in KINDS {
        visit(info.schema(), info.kind, &mut |path, node| {
            if let Some(value) = node.get("default") {
                defaults.push(format!("{path} = {value}"));
            }
        });
    }
    let expected = [
        "Function.spec.streaming.protocol = \"auto\"",
        "Function.spec.versioning.mode = \"auto\"",
        "Environment.spec.terminationGracePeriod = 90",
        "Package.spec.deployment.oci.imagePullSecrets[].name = \"\"",
        "Package.spec.source.oci.imagePullSecrets[].name = \"\"",
        "Package.status.buildstatus = \"pending\"",
        "TimeTrigger.spec.method = \"POST\"",
        "TimeTrigger.spec.subpath = \"/\"",
        "FunctionVersion.spec.snapshot.streaming.protocol = \"auto\"",
        "FunctionVersion.spec.snapshot.versioning.mode = \"auto\"",
    ];
    assert_eq!(defaults, expected);
}

#[test]
fn required_keys_are_those_of_the_contract() {
    let cases = [
        ("Function", "spec", json!(["InvokeStrategy", "environment", "package"])),
        ("Function", "spec.environment", json!(["namespace"])),
        ("Function", "spec.secrets[]", json!(["name", "namespace"])),
        ("Function", "spec.provisionedConcurrency", json!(["target"])),
        ("Function", "spec.provisionedConcurrency.windows[]", json!(["duration", "name", "start", "target"])),
        ("Environment", "spec", json!(["runtime", "version"])),
        ("Environment", "spec.runtime", json!(["image"])),
        ("Package", "spec", json!(["environment"])),
        ("Package", "spec.source.oci", json!(["image"])),
        ("HTTPTrigger", "spec", json!(["functionref"])),
        ("HTTPTrigger", "spec.functionref", json!(["name", "type"])),
        ("HTTPTrigger", "spec.routeConfig", json!(["provider"])),
        ("TimeTrigger", "spec", json!(["cron", "functionref"])),
        ("KubernetesWatchTrigger", "spec", json!(["functionref", "namespace", "type"])),
        ("MessageQueueTrigger", "spec", json!(["topic"])),
        ("CanaryConfig", "spec", json!(["newfunction", "oldfunction", "trigger"])),
        ("FunctionAlias", "spec", json!(["functionName"])),
        ("FunctionAlias", "status.history[]", json!(["switchedAt", "version"])),
        ("Workflow", "spec", json!(["startAt", "states"])),
        ("WorkflowRun", "spec", json!(["workflowRef"])),
        ("WorkflowRun", "status.recentEvents[]", json!(["at", "seq", "type"])),
        ("FissionTenant", "spec", json!(["namespace"])),
    ];
    for (kind, path, required) in cases {
        let mut found: Vec<String> = serde_json::from_value(node(kind, path)["required"].clone()).unwrap_or_default();
        found.sort();
        assert_eq!(json!(found), required, "{kind} {path}");
    }
}

#[test]
fn what_is_merged_onto_pods_keeps_unknown_fields() {
    for (kind, path) in [
        ("Function", "spec.podspec"),
        ("Function", "spec.tool.inputSchema"),
        ("Environment", "spec.runtime.container"),
        ("WorkflowRun", "spec.input"),
        ("WorkflowRun", "status.output"),
    ] {
        assert_eq!(node(kind, path)["x-kubernetes-preserve-unknown-fields"], true, "{kind} {path}");
    }
}

#[test]
fn lists_say_how_they_are_merged() {
    assert_eq!(node("Function", "spec.secrets")["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(node("HTTPTrigger", "spec.methods")["x-kubernetes-list-type"], "set");
    assert_eq!(node("HTTPTrigger", "spec.routeConfig.gateway.parentRefs")["x-kubernetes-list-type"], "atomic");
    for info in KINDS.iter().filter(|info| info.has_status) {
        assert_eq!(
            node(info.kind, "status.conditions")["x-kubernetes-list-map-keys"],
            json!(["type"]),
            "{}",
            info.kind
        );
    }
}

#[test]
fn only_some_statuses_know_their_generation() {
    let with: Vec<&str> = KINDS
        .iter()
        .filter(|info| node(info.kind, "status.observedGeneration").is_object())
        .map(|info| info.kind)
        .collect();
    let expected = [
        "Function",
        "Environment",
        "HTTPTrigger",
        "TimeTrigger",
        "KubernetesWatchTrigger",
        "MessageQueueTrigger",
        "Workflow",
        "WorkflowRun",
        "FissionTenant",
    ];
    assert_eq!(with, expected);
}

#[test]
fn literals_are_base64_in_the_schema() {
    assert_eq!(node("Package", "spec.source.literal")["format"], "byte");
    assert_eq!(node("Package", "spec.source.literal")["type"], "string");
}

#[test]
fn descriptions_are_for_people_and_name_no_rust_items() {
    for info in KINDS {
        visit(info.schema(), info.kind, &mut |path, node| {
            let text = node["description"].as_str().unwrap_or_default();
            assert!(!text.contains("[`"), "{path}: {text}");
        });
    }
}
