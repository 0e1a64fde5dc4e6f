//! Every pod: what it may do, what it writes to, and what it refers to.

use std::collections::BTreeSet;

use fission_testkit::scc::{Project, Verdict, admit};
use fission_testkit::scc_pod_security::violations;
use serde_json::{Value, json};

use crate::{find, id, items, of_kind, platforms, selects, str};

/// The roles the program has, which are what a container is told.
const ROLES: [&str; 8] = ["router", "executor", "builder", "storage", "webhook", "controller", "triggers", "logs"];
/// What may be mounted.
const VOLUMES: [&str; 5] = ["emptyDir", "persistentVolumeClaim", "configMap", "secret", "projected"];

/// Calls for every Deployment of every flavour: the flavour, its objects, the Deployment, the spec of its pods.
fn each_pod(mut look: impl FnMut(&str, &[Value], &Value, &Value)) {
    for (flavour, objects) in platforms() {
        let deployments: Vec<&Value> = of_kind(&objects, "Deployment").collect();
        assert_eq!(deployments.len(), ROLES.len(), "{flavour}");
        for deployment in deployments {
            let name = format!("{flavour}: {}", str(&deployment["metadata"]["name"]));
            look(&name, &objects, deployment, &deployment["spec"]["template"]["spec"]);
        }
    }
}

fn containers(spec: &Value) -> Vec<&Value> {
    items(&spec["initContainers"]).chain(items(&spec["containers"])).collect()
}

/// Every number under one of these keys, wherever it is.
fn numbers_of_users(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| numbers_of_users(value, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"].contains(&key.as_str()) {
                    found.push(format!("{key}: {value}"));
                }
                numbers_of_users(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_pod_is_taken_by_restricted_v2_which_adds_only_a_user_a_group_and_a_level() {
    each_pod(|name, _, _, spec| {
        let admitted = match admit(spec, &Project::measured()) {
            Verdict::Admitted { by: "restricted-v2", spec } => spec,
            other => panic!("{name}: {other:?}"),
        };
        let mut expected = spec.clone();
        expected["securityContext"]["fsGroup"] = 1_000_810_000.into();
        expected["securityContext"]["seLinuxOptions"] = json!({ "level": "s0:c28,c17" });
        for container in expected["containers"].as_array_mut().expect("a pod has containers") {
            container["securityContext"]["runAsUser"] = 1_000_810_000.into();
        }
        assert_eq!(admitted, expected, "{name}");
    });
}

#[test]
fn every_pod_runs_under_pod_security_restricted() {
    each_pod(|name, _, _, spec| assert_eq!(violations(spec), [""; 0], "{name}"));
}

#[test]
fn no_object_names_a_user_or_a_group_by_number() {
    for (flavour, objects) in platforms() {
        let mut found = Vec::new();
        objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition").for_each(|object| {
            numbers_of_users(object, &mut found);
        });
        assert_eq!(found, [""; 0], "{flavour}");
    }
}

#[test]
fn every_container_says_all_of_its_context_and_writes_only_to_volumes() {
    each_pod(|name, _, _, spec| {
        let volumes: BTreeSet<&str> = items(&spec["volumes"]).map(|volume| str(&volume["name"])).collect();
        for volume in items(&spec["volumes"]) {
            let kinds: Vec<&String> =
                volume.as_object().expect("an object").keys().filter(|key| *key != "name").collect();
            assert!(kinds.len() == 1 && VOLUMES.contains(&kinds[0].as_str()), "{name}: {volume}");
        }
        for container in containers(spec) {
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                    "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
                }),
                "{name}"
            );
            let mounts: Vec<&Value> = items(&container["volumeMounts"]).collect();
            assert!(mounts.iter().all(|mount| volumes.contains(str(&mount["name"]))), "{name}: {mounts:?}");
            assert!(mounts.iter().any(|mount| mount["mountPath"] == "/tmp"), "{name}: nowhere to put files");
        }
    });
}

#[test]
fn every_pod_runs_the_one_image_without_a_host_in_one_of_its_roles() {
    let mut images = BTreeSet::new();
    each_pod(|name, _, _, spec| {
        for container in containers(spec) {
            let role = str(&container["args"][0]);
            assert!(
                ROLES.contains(&role) && container["args"].as_array().is_some_and(|args| args.len() == 1),
                "{name}"
            );
            assert!(container["command"].is_null(), "{name}: the image has an entry point");
            images.insert(str(&container["image"]).to_owned());
            let fetcher = items(&container["env"]).find(|variable| variable["name"] == "FETCHER_IMAGE");
            images.extend(fetcher.map(|variable| str(&variable["value"]).to_owned()));
        }
    });
    let image = images.pop_first().expect("there is an image");
    assert!(images.is_empty(), "{image} and {images:?}");
    let (repository, tag) = image.rsplit_once(':').expect("it has a tag");
    assert!(repository == "fission/fission" && !tag.is_empty() && tag != "latest", "{image}");
}

#[test]
fn every_pod_is_probed_on_the_port_of_its_metrics_and_listens_above_1024() {
    each_pod(|name, _, _, spec| {
        for container in containers(spec) {
            let ports: Vec<&Value> = items(&container["ports"]).collect();
            assert!(ports.iter().all(|port| port["containerPort"].as_i64().is_some_and(|port| port > 1024)), "{name}");
            assert!(ports.iter().any(|port| port["name"] == "metrics" && port["containerPort"] == 8080), "{name}");
            for (probe, path) in
                [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
            {
                assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "metrics" }), "{name}: {probe}");
            }
        }
    });
}

#[test]
fn what_a_pod_refers_to_is_there() {
    each_pod(|name, objects, deployment, spec| {
        let namespace = str(&deployment["metadata"]["namespace"]);
        let there = |kind: &str, wanted: &Value| find(objects, kind, namespace, str(wanted)).is_some();
        assert!(there("ServiceAccount", &spec["serviceAccountName"]), "{name}: {}", spec["serviceAccountName"]);
        for volume in items(&spec["volumes"]) {
            let claim = &volume["persistentVolumeClaim"]["claimName"];
            assert!(claim.is_null() || there("PersistentVolumeClaim", claim), "{name}: {claim}");
            let map = &volume["configMap"]["name"];
            assert!(map.is_null() || there("ConfigMap", map), "{name}: {map}");
        }
        for variable in items(&spec["containers"][0]["env"]) {
            let key = &variable["valueFrom"]["configMapKeyRef"];
            if !key.is_null() {
                let map = find(objects, "ConfigMap", namespace, str(&key["name"])).expect("the ConfigMap is there");
                assert!(map["data"][str(&key["key"])].is_string(), "{name}: {key}");
            }
        }
    });
}

#[test]
fn selectors_find_their_pods_and_services_lead_to_their_ports() {
    for (flavour, objects) in platforms() {
        let pods: Vec<&Value> =
            of_kind(&objects, "Deployment").map(|deployment| &deployment["spec"]["template"]).collect();
        for deployment in of_kind(&objects, "Deployment") {
            let selector = &deployment["spec"]["selector"]["matchLabels"];
            let found = pods.iter().filter(|pod| selects(selector, &pod["metadata"]["labels"])).count();
            assert_eq!(found, 1, "{flavour}: {:?}", id(deployment));
        }
        for service in of_kind(&objects, "Service") {
            let pod = pods.iter().find(|pod| selects(&service["spec"]["selector"], &pod["metadata"]["labels"]));
            let pod = pod.unwrap_or_else(|| panic!("{flavour}: {:?} finds no pod", id(service)));
            let target = &service["spec"]["ports"][0]["targetPort"];
            let ports = items(&pod["spec"]["containers"][0]["ports"]);
            assert!(ports.into_iter().any(|port| &port["containerPort"] == target), "{flavour}: {:?}", id(service));
        }
    }
}

#[test]
fn a_router_that_ends_has_time_to_answer_everything() {
    each_pod(|name, objects, deployment, spec| {
        if !name.ends_with(": router") {
            return;
        }
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "{name}");
        assert!(deployment["spec"]["replicas"].as_i64() >= Some(2), "{name}");
        assert!(find(objects, "PodDisruptionBudget", str(&deployment["metadata"]["namespace"]), "router").is_some());
        let container = &spec["containers"][0];
        let value = |wanted: &str| items(&container["env"]).find(|variable| variable["name"] == wanted);
        let seconds = |text: &Value| str(text).trim_end_matches('s').parse::<i64>().expect("a number of seconds");
        // By the hook where Kubernetes knows it, else by the router itself.
        let delay = match value("SHUTDOWN_DELAY") {
            Some(variable) => {
                assert!(container["lifecycle"].is_null(), "{name}: both");
                seconds(&variable["value"])
            }
            None => container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().expect("it sleeps"),
        };
        let drain = seconds(&value("GRACEFUL_SHUTDOWN_TIMEOUT").expect("it drains")["value"]);
        let grace = spec["terminationGracePeriodSeconds"].as_i64().expect("it has a grace period");
        assert!(delay > 0 && delay + drain < grace, "{name}: {delay} + {drain}, {grace}");
    });
}
