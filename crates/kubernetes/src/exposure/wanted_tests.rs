//! What triggers ask for.

use super::*;

pub(in crate::exposure) fn trigger(namespace: &str, name: &str, spec: Value) -> HTTPTrigger {
    let mut whole = json!({
        "apiVersion": "fission.io/v1", "kind": "HTTPTrigger",
        "metadata": { "name": name, "namespace": namespace, "generation": 3, "resourceVersion": "7" },
        "spec": { "relativeurl": "/hello", "functionref": { "type": "name", "name": "hello" } },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole["spec"][field] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn made(spec: Value) -> Wanted {
    wanted(&trigger("shop", "cart", spec)).unwrap().unwrap()
}

fn refused(spec: Value) -> String {
    let verdict = wanted(&trigger("shop", "cart", spec)).unwrap().unwrap_err();
    assert_eq!((verdict.is_exposed, verdict.reason), (false, "InvalidIngressConfig"));
    verdict.message
}

fn rule(path: &str) -> Value {
    json!({ "http": { "paths": [{
        "path": path, "pathType": "ImplementationSpecific",
        "backend": { "service": { "name": "router", "port": { "number": 80 } } },
    }] } })
}

#[test]
fn a_trigger_that_asks_for_nothing_gets_nothing() {
    // What the command line writes for every route.
    let plain = json!({ "createingress": false, "ingressconfig": { "host": "*", "path": "/hello" } });
    assert_eq!(wanted(&trigger("shop", "cart", plain)), None);
}

#[test]
fn the_old_way_makes_an_ingress_for_any_host() {
    for host in ["", "*"] {
        let made = made(json!({ "createingress": true, "ingressconfig": { "host": host } }));
        assert_eq!(made.kind, Kind::Ingress);
        assert_eq!(Value::Object(made.spec), json!({ "rules": [rule("/hello")] }), "no class and no host");
        assert_eq!(made.labels["triggerName"], "cart");
        assert_eq!(made.labels["triggerNamespace"], "shop");
        assert_eq!(made.labels["functionName"], "hello");
    }
}

#[test]
fn host_path_certificate_and_annotations_are_the_triggers() {
    let config = json!({ "host": "a.example", "path": "/x", "tls": "cert", "annotations": { "k": "v" } });
    let old = made(json!({ "createingress": true, "ingressconfig": config }));
    let config = json!({
        "provider": "ingress", "hostnames": ["a.example"], "path": "/x", "tls": "cert", "annotations": { "k": "v" },
    });
    let new = made(json!({ "routeConfig": config }));
    assert_eq!(old, new);
    let mut with_host = rule("/x");
    with_host["host"] = json!("a.example");
    let tls = json!([{ "secretName": "cert", "hosts": ["a.example"] }]);
    assert_eq!(Value::Object(new.spec), json!({ "rules": [with_host], "tls": tls }));
    assert_eq!(new.annotations["k"], "v");
}

#[test]
fn the_new_way_wins_and_its_path_is_everything_when_not_given() {
    let both = json!({
        "createingress": true, "ingressconfig": { "path": "/old" },
        "routeConfig": { "provider": "ingress", "hostnames": ["a.example", "b.example"] },
    });
    let rules = made(both).spec["rules"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 2);
    assert_eq!((&rules[1]["host"], &rules[1]["http"]["paths"][0]["path"]), (&json!("b.example"), &json!("/")));
}

#[test]
fn the_edge_gets_what_stands_before_the_first_variable() {
    let ingress = |url: &str, path: &str| {
        let spec = json!({ "relativeurl": url, "createingress": true, "ingressconfig": { "path": path } });
        made(spec).spec["rules"][0]["http"]["paths"][0]["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(ingress("/users/{id}/cart", ""), "/users/");
    assert_eq!(ingress("/users/{id}/cart", "/users/{id}/cart"), "/users/", "the command line writes both");
    assert_eq!(ingress("/users/{id}", "/(.*)"), "/(.*)", "what was written for the controller is left as it is");
}

fn route(spec: Value, path: Option<&str>) -> Map<String, Value> {
    let mut spec = spec;
    let gateway = json!({ "parentRefs": [{ "name": "main", "namespace": "infra", "port": 443 }, { "name": "own" }] });
    spec["routeConfig"] = json!({ "provider": "gateway", "hostnames": ["a.example"], "gateway": gateway });
    if let Some(path) = path {
        spec["routeConfig"]["path"] = json!(path);
    }
    let made = made(spec);
    assert_eq!(made.kind, Kind::HttpRoute);
    made.spec
}

#[test]
fn a_gateway_route_names_its_parents_and_hosts() {
    let parents = json!([{ "name": "main", "namespace": "infra", "port": 443 }, { "name": "own" }]);
    let expected = json!({
        "parentRefs": parents,
        "hostnames": ["a.example"],
        "rules": [{
            "matches": [{ "path": { "type": "Exact", "value": "/hello" } }],
            "backendRefs": [{ "name": "router", "port": 80 }],
        }],
    });
    assert_eq!(Value::Object(route(json!({}), Some("/hello"))), expected);
}

#[test]
fn a_gateway_route_is_as_exact_as_the_trigger() {
    let path = |spec: Value, path: Option<&str>| route(spec, path)["rules"][0]["matches"][0]["path"].clone();
    let prefix = |value: &str| json!({ "type": "PathPrefix", "value": value });
    assert_eq!(path(json!({}), None), prefix("/"));
    assert_eq!(path(json!({}), Some("/other")), prefix("/other"));
    assert_eq!(path(json!({ "relativeurl": "", "prefix": "/p" }), Some("/p")), prefix("/p"));
    assert_eq!(path(json!({ "relativeurl": "/u/{id}" }), Some("/u/{id}")), prefix("/u/"));
}

#[test]
fn what_cannot_be_made_is_told_with_the_field() {
    let gateway = json!({ "routeConfig": { "provider": "gateway" } });
    assert!(refused(gateway).contains("spec.routeConfig.gateway.parentRefs is empty"));
    let other = json!({ "routeConfig": { "provider": "istio" } });
    assert!(refused(other).contains("must be ingress or gateway"));
    let relative = json!({ "createingress": true, "ingressconfig": { "path": "x" } });
    assert!(refused(relative).contains("must begin with '/'"));
}

#[test]
fn a_name_too_long_for_a_label_is_cut_and_stays_its_own() {
    let label = |name: &str| {
        let spec = json!({ "createingress": true });
        wanted(&trigger("shop", name, spec)).unwrap().unwrap().labels["triggerName"].clone()
    };
    let (one, two) = (label(&format!("{}.a", "x".repeat(70))), label(&format!("{}.b", "x".repeat(70))));
    assert!(one != two && one.len() == 63 && two.len() == 63 && names::is_cut(&one), "{one} {two}");
}
