//! Rights: what components need is granted where they need it, and nothing is granted that the installer may lack.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{PLATFORMS, find, id, items, objects, of_kind, platforms, str};

/// One verb on one resource of one group.
type Right = (String, String, String);

fn rights(rules: &Value) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for rule in items(rules) {
        for group in items(&rule["apiGroups"]) {
            for resource in items(&rule["resources"]) {
                for verb in items(&rule["verbs"]) {
                    all.insert((str(group).to_owned(), str(resource).to_owned(), str(verb).to_owned()));
                }
            }
        }
    }
    all
}

/// What a ServiceAccount may do in a namespace, by the Roles of these objects.
fn rights_of(objects: &[Value], account: &str, namespace: &str) -> BTreeSet<Right> {
    let bound = of_kind(objects, "RoleBinding").filter(|binding| {
        binding["metadata"]["namespace"] == namespace
            && items(&binding["subjects"]).any(|subject| subject["name"] == account)
    });
    bound
        .flat_map(|binding| {
            let role = find(objects, "Role", namespace, str(&binding["roleRef"]["name"]));
            rights(&role.unwrap_or_else(|| panic!("{:?} binds no Role", id(binding)))["rules"])
        })
        .collect()
}

fn has(rights: &BTreeSet<Right>, group: &str, resource: &str, verb: &str) -> bool {
    rights.contains(&(group.to_owned(), resource.to_owned(), verb.to_owned()))
}

/// Namespace of the platform, of users' objects, and of pods.
fn namespaces(flavour: &str) -> [&'static str; 3] {
    if flavour == "fission.yaml" { ["fission", "default", "fission-function"] } else { ["fission"; 3] }
}

#[test]
fn every_subject_and_every_role_of_a_binding_is_there() {
    for (flavour, objects) in platforms() {
        for binding in of_kind(&objects, "RoleBinding") {
            let namespace = str(&binding["metadata"]["namespace"]);
            assert!(
                find(&objects, "Role", namespace, str(&binding["roleRef"]["name"])).is_some(),
                "{flavour}: {binding}"
            );
            assert!(items(&binding["subjects"]).next().is_some(), "{flavour}: {:?} is for nobody", id(binding));
            for subject in items(&binding["subjects"]) {
                let account = find(&objects, "ServiceAccount", str(&subject["namespace"]), str(&subject["name"]));
                assert!(account.is_some(), "{flavour}: {subject}");
            }
        }
    }
}

#[test]
fn what_makes_pods_may_clear_them_away() {
    for (flavour, objects) in platforms() {
        let [_, _, pods] = namespaces(flavour);
        for account in ["fission-executor", "fission-buildermgr"] {
            let rights = rights_of(&objects, account, pods);
            for (group, resource) in [("", "pods"), ("", "services"), ("apps", "deployments"), ("apps", "replicasets")]
            {
                for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
                    assert!(has(&rights, group, resource, verb), "{flavour}: {account} may not {verb} {resource}");
                }
            }
        }
        let rights = rights_of(&objects, "fission-executor", pods);
        assert!(has(&rights, "autoscaling", "horizontalpodautoscalers", "delete"), "{flavour}");
    }
}

#[test]
fn each_component_may_do_its_work() {
    const F: &str = "fission.io";
    for (flavour, objects) in platforms() {
        let [release, resources, pods] = namespaces(flavour);
        let needs = [
            ("fission-router", resources, F, "httptriggers", "watch"),
            ("fission-router", resources, F, "httptriggers/status", "patch"),
            ("fission-router", pods, "discovery.k8s.io", "endpointslices", "watch"),
            ("fission-executor", resources, F, "functions/status", "patch"),
            ("fission-executor", resources, "", "secrets", "watch"),
            ("fission-executor", pods, "", "secrets", "create"),
            ("fission-executor", release, "", "secrets", "create"),
            ("fission-buildermgr", resources, F, "packages", "patch"),
            ("fission-buildermgr", resources, F, "packages/status", "patch"),
            ("fission-storagesvc", resources, F, "packages", "list"),
            ("fission-triggers", resources, F, "timetriggers/status", "patch"),
            ("fission-triggers", resources, F, "httptriggers/status", "patch"),
            ("fission-triggers", release, "networking.k8s.io", "ingresses", "create"),
            ("fission-logs", pods, "", "pods/log", "get"),
            ("fission-fetcher", resources, F, "packages", "get"),
            ("fission-fetcher", resources, "", "secrets", "get"),
            ("fission-builder", resources, F, "packages", "get"),
        ];
        for (account, namespace, group, resource, verb) in needs {
            let rights = rights_of(&objects, account, namespace);
            assert!(
                has(&rights, group, resource, verb),
                "{flavour}: {account} may not {verb} {resource} in {namespace}"
            );
        }
        for leader in ["router", "executor", "buildermgr", "triggers", "logs"] {
            let rights = rights_of(&objects, &format!("fission-{leader}"), release);
            assert!(has(&rights, "coordination.k8s.io", "leases", "create"), "{flavour}: {leader} cannot lead");
        }
    }
}

/// Functions are somewhere else, and so are what others lead to them.
#[test]
fn the_edge_is_written_by_one_component_and_in_the_platforms_namespace_only() {
    const VERBS: [&str; 5] = ["get", "list", "create", "update", "delete"];
    for (flavour, objects) in platforms() {
        let [release, resources, pods] = namespaces(flavour);
        let rights = rights_of(&objects, "fission-triggers", release);
        // The admin of a project of OpenShift does not have this right and so cannot give it.
        let on_openshift = flavour.contains("openshift");
        assert_eq!(has(&rights, "gateway.networking.k8s.io", "httproutes", "create"), !on_openshift, "{flavour}");
        assert!(VERBS.iter().all(|verb| has(&rights, "networking.k8s.io", "ingresses", verb)), "{flavour}");
        let elsewhere = [resources, pods].into_iter().filter(|place| *place != release);
        for right in elsewhere.flat_map(|place| rights_of(&objects, "fission-triggers", place)) {
            assert!(!right.0.ends_with("networking.k8s.io"), "{flavour}: {right:?}");
        }
    }
}

#[test]
fn the_proxy_of_the_api_has_no_right_on_users_objects() {
    for (flavour, objects) in platforms() {
        for namespace in namespaces(flavour) {
            let rights = rights_of(&objects, "fission-controller", namespace);
            assert!(rights.iter().all(|(group, _, _)| group != "fission.io"), "{flavour}: {rights:?}");
            assert!(rights.iter().all(|(_, _, verb)| ["get", "list", "watch"].contains(&verb.as_str())), "{flavour}");
        }
    }
}

#[test]
fn no_rule_has_a_wildcard_or_lets_one_become_another() {
    for (file, admin) in PLATFORMS {
        for object in objects(file).iter().chain(&objects(admin)) {
            for (group, resource, verb) in rights(&object["rules"]) {
                assert!(![&group, &resource, &verb].contains(&&"*".to_owned()), "{file}: {:?}", id(object));
                assert!(!["escalate", "impersonate", "bind"].contains(&verb.as_str()), "{file}: {:?}", id(object));
            }
        }
    }
}

#[test]
fn secrets_of_the_platforms_own_namespace_are_read_by_name() {
    let objects = objects("fission.yaml");
    for role in of_kind(&objects, "Role").filter(|role| role["metadata"]["namespace"] == "fission") {
        for rule in items(&role["rules"]).filter(|rule| items(&rule["resources"]).any(|resource| resource == "secrets"))
        {
            let creates = items(&rule["verbs"]).all(|verb| verb == "create");
            assert!(creates || rule["resourceNames"].is_array(), "{:?}: {rule}", id(role));
        }
    }
}

/// Who creates a Role must hold all of it. This is what the stock role `admin` of Kubernetes 1.27 and later has of what
/// our Roles grant; the rest must come from our own `fission-admin`, which is part of it.
fn held_by_stock_admin(group: &str, resource: &str) -> bool {
    const STOCK: &[(&str, &[&str])] = &[
        ("", &["pods", "pods/log", "services", "configmaps", "secrets"]),
        ("apps", &["deployments", "deployments/scale", "replicasets"]),
        ("autoscaling", &["horizontalpodautoscalers"]),
        ("batch", &["jobs"]),
        ("networking.k8s.io", &["ingresses"]),
    ];
    let replication = (group, resource) == ("", "replicationcontrollers");
    replication || STOCK.iter().any(|(of, resources)| *of == group && resources.contains(&resource))
}

#[test]
fn the_admin_of_a_project_may_grant_everything_the_tenants_half_grants() {
    let admin = objects("fission-openshift-admin.yaml");
    let ours = find_cluster_role(&admin, "fission-admin");
    assert_eq!(ours["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
    let held = rights(&ours["rules"]);
    for role in of_kind(&objects("fission-openshift.yaml"), "Role") {
        for right in rights(&role["rules"]) {
            let (group, resource, _) = &right;
            assert!(held.contains(&right) || held_by_stock_admin(group, resource), "{:?} grants {right:?}", id(role));
        }
    }
}

fn find_cluster_role<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    of_kind(objects, "ClusterRole").find(|role| role["metadata"]["name"] == name).expect("the ClusterRole is there")
}

#[test]
fn users_get_our_kinds_with_the_roles_they_already_have() {
    for file in ["fission.yaml", "fission-openshift-admin.yaml"] {
        let objects = objects(file);
        for (name, label, verb) in [("fission-view", "view", "list"), ("fission-edit", "edit", "create")] {
            let role = find_cluster_role(&objects, name);
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{label}");
            assert_eq!(role["metadata"]["labels"][&label], "true", "{file}");
            for info in fission_api::KINDS.iter().filter(|info| info.plural != "fissiontenants") {
                assert!(
                    has(&rights(&role["rules"]), "fission.io", info.plural, verb),
                    "{file}: {name}, {}",
                    info.plural
                );
            }
        }
    }
}
