//! How the files differ, and what each must and must not have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{TEMPLATE, folder, id, items, objects, of_kind, platforms, processed, str, text};

/// Kinds that belong to no namespace.
const OF_THE_CLUSTER: [&str; 5] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "ValidatingWebhookConfiguration"];
/// kubectl keeps the whole object in an annotation of this size.
const LARGEST: usize = 256 * 1024;

fn is_of_the_cluster(object: &Value) -> bool {
    OF_THE_CLUSTER.contains(&str(&object["kind"]))
}

#[test]
fn no_file_has_an_object_twice_and_the_files_for_nodes_and_clouds_go_beside_the_plain_one() {
    for file in ["fission.yaml", "fission-openshift.yaml", "fission-openshift-admin.yaml"] {
        let ids: Vec<_> = objects(file).iter().map(id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{file}");
    }
    let plain: BTreeSet<_> = objects("fission.yaml").iter().map(id).collect();
    for file in ["fission-nodeport.yaml", "fission-cloud.yaml"] {
        let more: BTreeSet<_> = objects(file).iter().map(id).collect();
        assert!(plain.is_disjoint(&more), "{file}: kubectl create of both would fail");
    }
}

#[test]
fn every_object_outside_the_cluster_says_its_namespace() {
    for (flavour, objects) in platforms() {
        for object in &objects {
            assert_eq!(
                object["metadata"]["namespace"].is_null(),
                is_of_the_cluster(object),
                "{flavour}: {:?}",
                id(object)
            );
        }
    }
}

#[test]
fn the_plain_file_is_the_whole_platform_and_exposes_nothing() {
    let objects = objects("fission.yaml");
    let namespaces: Vec<&Value> = of_kind(&objects, "Namespace").collect();
    let names: BTreeSet<&str> = namespaces.iter().map(|namespace| str(&namespace["metadata"]["name"])).collect();
    assert_eq!(names, BTreeSet::from(["fission", "fission-function"]));
    for namespace in namespaces {
        assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    }
    assert!(of_kind(&objects, "Service").all(|service| service["spec"]["type"] == "ClusterIP"));
    assert!(objects.iter().all(|object| !str(&object["apiVersion"]).contains("openshift")));
    let services: BTreeMap<&str, &Value> = of_kind(&objects, "Service")
        .map(|service| (str(&service["metadata"]["name"]), &service["spec"]["ports"][0]))
        .collect();
    for (name, port, target) in [
        ("router", 80, 8888),
        ("router-internal", 8889, 8889),
        ("executor", 80, 8888),
        ("storagesvc", 80, 8000),
        ("controller", 80, 8888),
        ("logs", 80, 8890),
        ("webhook-service", 443, 9443),
    ] {
        assert_eq!((&services[name]["port"], &services[name]["targetPort"]), (&json!(port), &json!(target)), "{name}");
    }
}

#[test]
fn the_file_for_nodes_has_the_two_ports_of_the_article_and_the_one_for_clouds_a_load_balancer() {
    let ports = |file: &str| -> BTreeSet<(String, String, i64)> {
        let of = |service: &Value| {
            let spec = &service["spec"];
            let port = spec["ports"][0]["nodePort"].as_i64().unwrap_or_default();
            (str(&spec["selector"]["svc"]).to_owned(), str(&spec["type"]).to_owned(), port)
        };
        objects(file).iter().map(of).collect()
    };
    let nodes = [("controller", "NodePort", 31313), ("router", "NodePort", 31314)];
    assert_eq!(ports("fission-nodeport.yaml"), nodes.map(|(a, b, port)| (a.to_owned(), b.to_owned(), port)).into());
    assert_eq!(ports("fission-cloud.yaml"), BTreeSet::from([("router".to_owned(), "LoadBalancer".to_owned(), 0)]));
}

#[test]
fn the_tenants_half_has_no_object_of_the_cluster_and_the_admins_half_no_other() {
    for object in &objects("fission-openshift.yaml") {
        assert!(!is_of_the_cluster(object), "{:?}", id(object));
        assert_eq!(object["metadata"]["namespace"], "fission", "{:?}", id(object));
        let group = str(&object["apiVersion"]);
        assert!(!["security.openshift.io", "project.openshift.io"].iter().any(|other| group.starts_with(other)));
    }
    assert!(objects("fission-openshift-admin.yaml").iter().all(is_of_the_cluster));
}

#[test]
fn the_tenants_half_has_a_route_that_waits_for_the_longest_function() {
    let objects = objects("fission-openshift.yaml");
    let routes: Vec<&Value> = of_kind(&objects, "Route").collect();
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0]["metadata"]["annotations"]["haproxy.router.openshift.io/timeout"], "300s");
    assert_eq!(routes[0]["spec"]["to"]["name"], "router");
    assert!(of_kind(&objects, "Service").all(|service| service["spec"]["type"] == "ClusterIP"));
    // Archives outlive their pod.
    assert_eq!(of_kind(&objects, "PersistentVolumeClaim").count(), 1);
}

#[test]
fn on_openshift_its_own_authority_makes_the_webhooks_certificate() {
    let tenant = objects("fission-openshift.yaml");
    let service = of_kind(&tenant, "Service").find(|service| service["metadata"]["name"] == "webhook-service");
    let secret = "service.beta.openshift.io/serving-cert-secret-name";
    assert_eq!(service.expect("it is there")["metadata"]["annotations"][secret], "fission-webhook-tls");
    let admin = objects("fission-openshift-admin.yaml");
    let webhook = of_kind(&admin, "ValidatingWebhookConfiguration").next().expect("it is there");
    assert_eq!(webhook["metadata"]["annotations"]["service.beta.openshift.io/inject-cabundle"], "true");
    assert_eq!(webhook["webhooks"][0]["failurePolicy"], "Ignore");
    assert_eq!(of_kind(&admin, "ClusterRoleBinding").count(), 0, "no account of a project has a right in the cluster");
}

#[test]
fn the_webhook_looks_at_every_kind() {
    for file in ["fission.yaml", "fission-openshift-admin.yaml"] {
        let objects = objects(file);
        let webhook = of_kind(&objects, "ValidatingWebhookConfiguration").next().expect("it is there");
        let rule = &webhook["webhooks"][0]["rules"][0];
        let kinds: BTreeSet<&str> = items(&rule["resources"]).map(str).collect();
        assert_eq!(kinds, fission_api::KINDS.iter().map(|info| info.plural).collect(), "{file}");
        assert_eq!(rule["operations"], json!(["CREATE", "UPDATE"]), "{file}");
    }
}

#[test]
fn the_definitions_are_those_of_the_folder_and_small_enough_for_any_kubectl() {
    for file in ["fission.yaml", "fission-openshift-admin.yaml"] {
        let objects = objects(file);
        let definitions: Vec<&Value> = of_kind(&objects, "CustomResourceDefinition").collect();
        assert_eq!(definitions.len(), fission_api::KINDS.len(), "{file}");
        for definition in definitions {
            let plural = str(&definition["spec"]["names"]["plural"]);
            let alone = objects_of_crd(plural);
            assert!(alone == *definition, "{file}: {plural} is not current; run deploy/render");
            assert!(definition.to_string().len() < LARGEST, "{file}: {plural}");
        }
    }
}

fn objects_of_crd(plural: &str) -> Value {
    objects(&format!("crds/fission.io_{plural}.yaml")).remove(0)
}

#[test]
fn the_template_with_its_own_values_is_the_tenants_half() {
    let template = objects(TEMPLATE).remove(0);
    assert_eq!((&template["kind"], &template["apiVersion"]), (&json!("Template"), &json!("template.openshift.io/v1")));
    let by_id = |objects: Vec<Value>| -> BTreeMap<_, Value> {
        objects.into_iter().map(|object| (id(&object), object)).collect()
    };
    assert_eq!(by_id(processed(&template)), by_id(objects("fission-openshift.yaml")));
    let text = text(TEMPLATE);
    for parameter in items(&template["parameters"]) {
        assert!(text.contains(&format!("{{{}}}", str(&parameter["name"]))), "{parameter} is used nowhere");
    }
}

#[test]
fn no_file_names_a_registry() {
    for entry in std::fs::read_dir(folder()).expect("the folder is there") {
        let file = entry.expect("it can be read").file_name().to_string_lossy().into_owned();
        if !file.ends_with(".yaml") {
            continue;
        }
        for line in text(&file).lines().filter_map(|line| line.trim().strip_prefix("image: ")) {
            let first = line.split('/').next().unwrap_or_default();
            assert!(!first.contains(['.', ':']) || first == line, "{file}: {line}");
        }
    }
}
