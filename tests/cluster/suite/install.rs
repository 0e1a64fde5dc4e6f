//! Other ways to install than `fission.yaml`: a second platform, beside the one of all tests, in namespaces of its own.

use std::fs;
use std::path::Path;

use crate::world::{Cluster, PATIENCE, node, said, text};

/// Every component of a platform.
const COMPONENTS: &[&str] =
    &["executor", "storagesvc", "webhook", "controller", "buildermgr", "triggers", "logs", "router"];
/// The user and group OpenShift would give to a project.
const UID: u32 = 1_000_810_000;

/// The kind Route, and who may write it.
const ROUTES: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: routes.route.openshift.io }
spec:
  group: route.openshift.io
  scope: Namespaced
  names: { kind: Route, plural: routes, singular: route, listKind: RouteList }
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: routes-admin, labels: { rbac.authorization.k8s.io/aggregate-to-admin: 'true' } }
rules: [{ apiGroups: [route.openshift.io], resources: [routes, routes/custom-host], verbs: ['*'] }]
";

/// A file of the repository.
fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// A namespace as `oc new-project` makes it, and somebody who is its admin and nothing else.
fn project(cluster: &Cluster, name: &str) -> String {
    let yaml = format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{ name: {name}, labels: {{ pod-security.kubernetes.io/enforce: restricted }} }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: owner, namespace: {name} }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: owner, namespace: {name} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin }}
subjects: [{{ kind: ServiceAccount, name: owner, namespace: {name} }}]
"
    );
    text(&cluster.apply(&yaml), "project");
    format!("--as=system:serviceaccount:{name}:owner")
}

/// What OpenShift has and this cluster has not: the kind Route, which its admins of projects may write, and the service CA,
/// which makes the Secret that a Service's annotation asks for.
fn as_openshift(cluster: &Cluster, project: &str) {
    text(&cluster.apply(ROUTES), "what OpenShift has");
    cluster.kubectl_ok(&["wait", "--for=condition=Established", "crd/routes.route.openshift.io", "--timeout=60s"]);
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=webhook \
                -keyout tls.key -out tls.crt 2>/dev/null";
    text(&cluster.article(make, ""), "openssl");
    let secret = repository("deploy/fission-openshift.yaml")
        .lines()
        .find_map(|line| {
            line.trim().strip_prefix("service.beta.openshift.io/serving-cert-secret-name: ").map(str::to_owned)
        })
        .expect("the webhook's Service asks for a certificate");
    cluster.kubectl_ok(&["create", "secret", "tls", &secret, "-n", project, "--cert=tls.crt", "--key=tls.key"]);
}

/// As `oc process -p NAMESPACE=...`, and every other parameter as it is.
fn processed(project: &str) -> String {
    let template = repository("deploy/fission-openshift-template.yaml");
    let (head, objects) = template.split_once("\nobjects:\n").expect("a Template has objects");
    let mut yaml = format!("apiVersion: v1\nkind: List\nitems:\n{objects}");
    for parameter in head.split("\n  - name: ").skip(1) {
        let (name, rest) = parameter.split_once('\n').unwrap();
        let given = rest.lines().find_map(|line| line.trim().strip_prefix("value: ")).unwrap_or_default();
        let given = if name == "NAMESPACE" { project } else { given.trim_matches('"') };
        yaml = yaml.replace(&format!("\"${{{{{name}}}}}\""), given).replace(&format!("'${{{{{name}}}}}'"), given);
        yaml = yaml.replace(&format!("${{{{{name}}}}}"), given).replace(&format!("${{{name}}}"), given);
    }
    yaml
}

/// What the admission of OpenShift does to every pod of a project: a user and a group for its files.
fn as_its_admission(cluster: &Cluster, project: &str) {
    let patch =
        format!(r#"{{"spec":{{"template":{{"spec":{{"securityContext":{{"runAsUser":{UID},"fsGroup":{UID}}}}}}}}}}}"#);
    for component in COMPONENTS {
        cluster.kubectl_ok(&["patch", "deployment", component, "-n", project, "-p", &patch]);
    }
}

fn rolled_out(cluster: &Cluster, namespace: &str, component: &str) {
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    cluster.kubectl_ok(&["rollout", "status", &format!("deployment/{component}"), "-n", namespace, &timeout]);
}

/// Waits until a function of another platform answers.
async fn answers(cluster: &Cluster, platform: &str, namespace: &str, function: &str, expected: &str) {
    let mut told = String::new();
    for _ in 0..60 {
        let output = cluster.fission_of(platform, &["function", "test", "--name", function, "-n", namespace]);
        told = said(&output);
        if output.status.success() && told.contains(expected) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    panic!(
        "{function} in {namespace}: {told}\n{}",
        cluster.kubectl_ok(&["get", "pods", "-n", namespace, "-o", "wide"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_installs_a_whole_platform_for_the_admin_of_a_project() {
    let cluster = Cluster::alone("project").await;
    let project_name = "my-project";
    let owner = project(&cluster, project_name);
    as_openshift(&cluster, project_name);
    cluster.write("processed.yaml", &processed(project_name));
    // Not the admin of the cluster: everything that is applied is within what the owner of the project may give.
    cluster.kubectl_ok(&[&owner, "apply", "-f", "processed.yaml"]);
    as_its_admission(&cluster, project_name);
    for component in COMPONENTS {
        rolled_out(&cluster, project_name, component);
    }
    let fission = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["-n", project_name]);
        text(&cluster.fission_of(project_name, &all), &format!("fission {arguments:?}"))
    };
    fission(&["env", "create", "--name", "nodejs", "--image", "fission/node-env", "--poolsize", "1"]);
    cluster.write("small.js", &node("small"));
    cluster.write("large.js", &format!("{}{}", node("large"), "// padding\n".repeat(40_000)));
    for size in ["small", "large"] {
        fission(&["function", "create", "--name", size, "--env", "nodejs", "--code", &format!("{size}.js")]);
        answers(&cluster, project_name, project_name, size, size).await;
    }
    let elsewhere =
        cluster.kubectl_ok(&["get", "pods", "-n", "fission-function", "-l", "functionNamespace=my-project"]);
    assert_eq!(elsewhere.trim(), "", "its pods are in the project");
    cluster.kubectl_ok(&["delete", "namespace", project_name, "--timeout=120s"]);
    cluster.kubectl_ok(&["delete", "crd/routes.route.openshift.io", "clusterrole/routes-admin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_installed_tested_and_given_another_namespace_without_a_restart() {
    let cluster = Cluster::alone("chart").await;
    for namespace in ["chart", "chart-team"] {
        project(&cluster, namespace);
    }
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/fission");
    let chart = chart.to_str().unwrap();
    // The definitions and roles of the cluster are there; pods are where the function is.
    let values =
        "parts.cluster=false,defaultNamespace=chart,functionNamespace=,builderNamespace=,webhook.enabled=false";
    let more = "persistence.enabled=false,router.replicas=1";
    let helm = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["-n", "chart"]);
        cluster.program("helm", &all)
    };
    helm(&["install", "fission", chart, "--set", values, "--set", more, "--wait", "--timeout", "3m"]);
    helm(&["test", "fission", "--timeout", "2m"]);
    let pods =
        || cluster.kubectl_ok(&["get", "pods", "-n", "chart", "-l", "svc", "-o", "name", "--sort-by=.metadata.name"]);
    let before = pods();
    helm(&["upgrade", "fission", chart, "--reuse-values", "--set", "additionalFissionNamespaces={chart-team}"]);
    for namespace in ["chart", "chart-team"] {
        let fission = |arguments: &[&str]| {
            let mut all = arguments.to_vec();
            all.extend(["-n", namespace]);
            text(&cluster.fission_of("chart", &all), &format!("fission {arguments:?}"))
        };
        fission(&["env", "create", "--name", "nodejs", "--image", "fission/node-env", "--poolsize", "1"]);
        cluster.write("a.js", &node(namespace));
        fission(&["function", "create", "--name", "hello", "--env", "nodejs", "--code", "a.js"]);
        answers(&cluster, "chart", namespace, "hello", namespace).await;
        let own = cluster.kubectl_ok(&["get", "pods", "-n", namespace, "-l", "functionName=hello", "-o", "name"]);
        assert!(own.contains("pod/"), "the pod is in {namespace}");
    }
    assert_eq!(before, pods(), "no component was restarted for the new namespace");
    helm(&["uninstall", "fission", "--wait", "--timeout", "2m"]);
    cluster.kubectl_ok(&["delete", "namespace", "chart", "chart-team", "--timeout=120s"]);
}
