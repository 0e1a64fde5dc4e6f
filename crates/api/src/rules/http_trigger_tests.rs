//! Rules of routes and of references to functions, one test each.

use serde_json::{Value, json};

use crate::rules::cases::{accepted_spec, refused_spec};

const KIND: &str = "HTTPTrigger";

#[test]
fn a_route_needs_a_path_or_a_prefix() {
    let problem = "spec.relativeurl: Required value: a route needs relativeurl or prefix";
    refused_spec(KIND, json!({ "relativeurl": "" }), problem);
    accepted_spec(KIND, json!({ "relativeurl": "", "prefix": "/p" }));
}

#[test]
fn a_path_begins_with_a_slash_and_is_more_than_one() {
    let problem = "spec.relativeurl: Invalid value: \"hello\": must begin with '/'";
    refused_spec(KIND, json!({ "relativeurl": "hello" }), problem);
    let problem = "spec.prefix: Invalid value: \"/\": may not be '/' itself; the router answers there";
    refused_spec(KIND, json!({ "prefix": "/" }), problem);
}

#[test]
fn a_path_never_climbs() {
    let problem = "spec.relativeurl: Invalid value: \"/a/../b\": may not contain '..'";
    refused_spec(KIND, json!({ "relativeurl": "/a/../b" }), problem);
    accepted_spec(KIND, json!({ "relativeurl": "/a..b" }));
}

#[test]
fn the_routers_own_paths_are_taken() {
    for path in ["/router-healthz", "/readyz", "/_version", "/auth/login", "/fission-function/x"] {
        let list = "/router-healthz, /readyz, /_version, /auth/login, /fission-function/";
        let problem = format!("spec.relativeurl: Invalid value: {path:?}: is reserved for the router: {list}");
        refused_spec(KIND, json!({ "relativeurl": path }), &problem);
    }
}

#[test]
fn path_variables_are_accepted() {
    for path in ["/a/{id}", "/a/{id:[0-9]+}", "/a/{id:[0-9]{3}}/{rest:.*}", "/{a}-{b}"] {
        accepted_spec(KIND, json!({ "relativeurl": path }));
    }
}

#[test]
fn broken_templates_are_refused_with_the_reason() {
    for (path, detail) in [
        ("/{id", "has a '{' that is never closed"),
        ("/id}", "has a '}' without a '{' before it"),
        ("/{}", "has a variable without a name: {}"),
        ("/{a}/{a}", "has the variable \"a\" twice"),
        ("/{a:}", "has an empty expression for the variable \"a\""),
        ("/{a:(x|y)}", "has a capturing group in the variable \"a\"; write (?:...) instead of (...)"),
    ] {
        let problem = format!("spec.relativeurl: Invalid value: {path:?}: {detail}");
        refused_spec(KIND, json!({ "relativeurl": path }), &problem);
    }
    let problem = "spec.relativeurl: Invalid value: \"/{a:[}\": has an expression that cannot be read in the variable \
                   \"a\": error: unclosed character class";
    refused_spec(KIND, json!({ "relativeurl": "/{a:[}" }), problem);
}

#[test]
fn methods_are_upper_case() {
    let problem = "spec.methods[0]: Unsupported value: \"get\": use upper case: \"GET\"";
    refused_spec(KIND, json!({ "methods": ["get"] }), problem);
    let problem = "spec.method: Unsupported value: \"Post\": use upper case: \"POST\"";
    refused_spec(KIND, json!({ "method": "Post" }), problem);
}

#[test]
fn unknown_methods_are_refused_with_the_list() {
    let list = "\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\", \"CONNECT\", \"OPTIONS\", \"TRACE\"";
    let problem = format!("spec.methods[1]: Unsupported value: \"BREW\": supported values: {list}");
    refused_spec(KIND, json!({ "methods": ["GET", "BREW"] }), &problem);
}

#[test]
fn a_method_is_listed_once_and_none_is_accepted() {
    let problem = "spec.methods[1]: Invalid value: \"GET\": appears twice; each entry must be there once";
    refused_spec(KIND, json!({ "methods": ["GET", "GET"] }), problem);
    accepted_spec(KIND, json!({ "methods": [] }));
}

#[test]
fn hosts_are_dns_names() {
    accepted_spec(KIND, json!({ "host": "a.example.org", "ingressconfig": { "host": "*.example.org", "path": "/x" } }));
    accepted_spec(KIND, json!({ "ingressconfig": { "host": "*", "path": "" } }));
    let detail =
        "must be lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit";
    let problem = format!("spec.host: Invalid value: \"*.x\": {detail}");
    refused_spec(KIND, json!({ "host": "*.x" }), &problem);
    let problem = format!("spec.ingressconfig.host: Invalid value: \"a_b\": {detail}");
    refused_spec(KIND, json!({ "ingressconfig": { "host": "a_b" } }), &problem);
}

#[test]
fn ingress_and_route_paths_are_absolute() {
    let problem = "spec.ingressconfig.path: Invalid value: \"x\": must begin with '/'";
    refused_spec(KIND, json!({ "ingressconfig": { "path": "x" } }), problem);
    let problem = "spec.routeConfig.path: Invalid value: \"x\": must begin with '/'";
    refused_spec(KIND, json!({ "routeConfig": { "provider": "ingress", "path": "x" } }), problem);
}

#[test]
fn a_gateway_route_names_its_gateway_and_has_no_certificate() {
    let gateway = json!({ "parentRefs": [{ "name": "g", "port": 443 }] });
    accepted_spec(KIND, json!({ "routeConfig": { "provider": "gateway", "gateway": gateway } }));
    let problem = "spec.routeConfig.gateway.parentRefs: Required value: name the Gateway the route is attached to";
    refused_spec(KIND, json!({ "routeConfig": { "provider": "gateway" } }), problem);
    let problem = "spec.routeConfig.tls: Forbidden: a Gateway holds its own certificates; not with provider gateway";
    refused_spec(KIND, json!({ "routeConfig": { "provider": "gateway", "gateway": gateway, "tls": "t" } }), problem);
}

#[test]
fn credentials_need_listed_origins() {
    accepted_spec(KIND, json!({ "corsConfig": { "allowOrigins": ["https://a"], "allowCredentials": true } }));
    let problem =
        "spec.corsConfig.allowCredentials: Forbidden: browsers refuse credentials with origin \"*\"; list the origins";
    refused_spec(KIND, json!({ "corsConfig": { "allowOrigins": ["*"], "allowCredentials": true } }), problem);
}

#[test]
fn a_preflight_age_is_a_duration() {
    accepted_spec(KIND, json!({ "corsConfig": { "maxAge": "10m" } }));
    let problem =
        "spec.corsConfig.maxAge: Invalid value: \"600\": has no unit after 600; units are ns, us, ms, s, m and h";
    refused_spec(KIND, json!({ "corsConfig": { "maxAge": "600" } }), problem);
}

#[test]
fn the_invocation_mode_is_empty_or_async() {
    let problem = "spec.invocationMode: Unsupported value: \"later\": supported values: \"\", \"async\"";
    refused_spec(KIND, json!({ "invocationMode": "later" }), problem);
}

fn target(reference: Value) -> Value {
    json!({ "functionref": reference })
}

#[test]
fn a_reference_by_name_has_a_name() {
    refused_spec(KIND, target(json!({ "name": "" })), "spec.functionref.name: Required value: name it");
    let problem = "spec.functionref.type: Unsupported value: \"uid\": supported values: \"name\", \"function-weights\"";
    refused_spec(KIND, target(json!({ "type": "uid" })), problem);
}

#[test]
fn a_reference_follows_an_alias_or_a_version() {
    accepted_spec(KIND, target(json!({ "alias": "prod" })));
    let problem = "spec.functionref.version: Forbidden: may not be set together with alias; use one of the two";
    refused_spec(KIND, target(json!({ "alias": "prod", "version": "hello-v1" })), problem);
}

#[test]
fn weights_name_two_functions_and_add_up() {
    let weights = |map: Value| target(json!({ "type": "function-weights", "name": "", "functionweights": map }));
    accepted_spec(KIND, weights(json!({ "a": 90, "b": 10 })));
    let at = "spec.functionref.functionweights";
    let problem = format!("{at}: Invalid value: \"90\": weights must add up to 100");
    refused_spec(KIND, weights(json!({ "a": 80, "b": 10 })), &problem);
    let problem = format!("{at}: Invalid value: \"1 entries\": must name exactly two functions with their percentages");
    refused_spec(KIND, weights(json!({ "a": 100 })), &problem);
}
