//! What a trigger asks for: the Ingress or HTTPRoute that leads to the router, without its name.

use std::collections::BTreeMap;

use fission_api::http_trigger::{ParentRef, RouteConfig};
use fission_api::{HTTPTrigger, HTTPTriggerSpec, labels};
use fission_rpc::cache::ObjectKey;
use jiff::Timestamp;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

use super::told::Verdict;
use crate::names;
use crate::services::MANAGED_BY;

/// The Service all of them lead to, and its port.
const ROUTER: (&str, u16) = ("router", 80);
/// Label: the trigger an object was made for. A name that is too long for a label is cut and told apart by a hash.
pub(super) const TRIGGER_NAME: &str = "triggerName";
/// Label: the namespace of that trigger.
pub(super) const TRIGGER_NAMESPACE: &str = "triggerNamespace";

/// The kinds that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Ingress,
    HttpRoute,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Ingress, Self::HttpRoute];

    /// What Kubernetes calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        let (group, plural) = match self {
            Self::Ingress => ("networking.k8s.io", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "httproutes"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", self.word()), plural)
    }

    /// The fields of its spec that are ours. Others are left alone: a cluster fills in its default class.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Ingress => &["rules", "tls", "defaultBackend"],
            Self::HttpRoute => &["parentRefs", "hostnames", "rules"],
        }
    }
}

/// An object that must be there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) trigger: ObjectKey,
    /// When the trigger was made: the older of two gets the name both have.
    pub(super) since: Option<Timestamp>,
    pub(super) kind: Kind,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Map<String, Value>,
}

/// What a trigger asks for, if it asks for anything; or why that cannot be made.
pub(super) fn wanted(trigger: &HTTPTrigger) -> Option<Result<Wanted, Verdict>> {
    let spec = &trigger.spec;
    let (kind, annotations, made) = match &spec.route_config {
        Some(route) if route.provider == "gateway" => (Kind::HttpRoute, &route.annotations, http_route(spec, route)),
        Some(route) if route.provider == "ingress" => {
            let path = edge_path(spec, &route.path, "/");
            (Kind::Ingress, &route.annotations, ingress(&route.hostnames, path, &route.tls))
        }
        Some(route) => {
            let message = format!("spec.routeConfig.provider is {:?}; it must be ingress or gateway", route.provider);
            return Some(Err(Verdict::invalid(message)));
        }
        None if spec.create_ingress => {
            let config = &spec.ingress_config;
            let path = edge_path(spec, &config.path, own_path(spec));
            let hosts = std::slice::from_ref(&config.host);
            (Kind::Ingress, &config.annotations, ingress(hosts, path, &config.tls))
        }
        None => return None,
    };
    Some(made.map_err(Verdict::invalid).map(|spec| Wanted {
        trigger: ObjectKey::of(trigger),
        since: trigger.metadata.creation_timestamp.as_ref().map(|time| time.0),
        kind,
        labels: labels(trigger),
        annotations: annotations.clone().unwrap_or_default(),
        spec,
    }))
}

fn labels(trigger: &HTTPTrigger) -> BTreeMap<String, String> {
    let all = [
        (MANAGED_BY, "fission".to_owned()),
        (TRIGGER_NAME, names::label_value(names::name(trigger))),
        (TRIGGER_NAMESPACE, names::namespace(trigger).to_owned()),
        // Empty where weights choose between two.
        (labels::FUNCTION_NAME, names::label_value(&trigger.spec.functionref.name)),
    ];
    all.map(|(label, value)| (label.to_owned(), value)).into()
}

fn ingress(hosts: &[String], path: &str, tls: &str) -> Result<Map<String, Value>, String> {
    if !path.starts_with('/') {
        return Err(format!("the path of the Ingress is {path:?}; it must begin with '/'"));
    }
    let hosts = named(hosts);
    let (service, port) = ROUTER;
    let http = json!({ "paths": [{
        "path": path,
        // What it means is the controller's; for most it is everything below it, and the router decides exactly.
        "pathType": "ImplementationSpecific",
        "backend": { "service": { "name": service, "port": { "number": port } } },
    }] });
    let mut rules: Vec<Value> = hosts.iter().map(|host| json!({ "host": host, "http": http })).collect();
    if rules.is_empty() {
        rules.push(json!({ "http": http }));
    }
    let mut spec = Map::new();
    spec.insert("rules".to_owned(), Value::Array(rules));
    if !tls.is_empty() {
        let mut tls = json!({ "secretName": tls });
        if !hosts.is_empty() {
            tls["hosts"] = json!(hosts);
        }
        spec.insert("tls".to_owned(), json!([tls]));
    }
    Ok(spec)
}

fn http_route(spec: &HTTPTriggerSpec, route: &RouteConfig) -> Result<Map<String, Value>, String> {
    let parents = route.gateway.as_ref().map(|gateway| &gateway.parent_refs[..]).unwrap_or_default();
    if parents.is_empty() {
        return Err(
            "spec.routeConfig.gateway.parentRefs is empty; name the Gateway the route is attached to".to_owned()
        );
    }
    let path = edge_path(spec, &route.path, "/");
    if !path.starts_with('/') {
        return Err(format!("spec.routeConfig.path is {path:?}; it must begin with '/'"));
    }
    let is_exact = spec.prefix().is_none() && path == spec.relative_url;
    let kind = if is_exact { "Exact" } else { "PathPrefix" };
    let (service, port) = ROUTER;
    let mut made = Map::new();
    made.insert("parentRefs".to_owned(), parents.iter().map(parent).collect());
    let hosts = named(&route.hostnames);
    if !hosts.is_empty() {
        made.insert("hostnames".to_owned(), json!(hosts));
    }
    made.insert(
        "rules".to_owned(),
        json!([{
            "matches": [{ "path": { "type": kind, "value": path } }],
            "backendRefs": [{ "name": service, "port": port }],
        }]),
    );
    Ok(made)
}

fn parent(parent: &ParentRef) -> Value {
    let mut made = json!({ "name": parent.name });
    for (field, value) in [("namespace", &parent.namespace), ("sectionName", &parent.section_name)] {
        if !value.is_empty() {
            made[field] = json!(value);
        }
    }
    if let Some(port) = parent.port {
        made["port"] = json!(port);
    }
    made
}

/// The hosts that are one: `*` and nothing at all are any.
fn named(hosts: &[String]) -> Vec<&str> {
    hosts.iter().map(String::as_str).filter(|host| !matches!(*host, "" | "*")).collect()
}

/// The path a trigger matches.
fn own_path(spec: &HTTPTriggerSpec) -> &str {
    spec.prefix().unwrap_or(&spec.relative_url)
}

/// The path at the edge. What is in front of the router knows no templates: of the trigger's own it is given what stands
/// before the first variable.
fn edge_path<'a>(spec: &'a HTTPTriggerSpec, given: &'a str, default: &'a str) -> &'a str {
    let path = if given.is_empty() { default } else { given };
    match path.find('{') {
        Some(variable) if path == own_path(spec) => {
            let slash = path[..variable].rfind('/').unwrap_or_default();
            &path[..=slash]
        }
        _ => path,
    }
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
pub(super) mod tests;
