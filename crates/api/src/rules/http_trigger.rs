//! Rules of `HTTPTrigger`.

use super::names::subdomain_problem;
use super::route_path::{path_problem, template_problem};
use super::{Rules, Targets, check_duration, check_function_reference};
use crate::HTTPTrigger;
use crate::field_error::Found;
use crate::http_trigger::{CorsConfig, HTTPTriggerSpec, IngressConfig, RouteConfig};

impl Rules for HTTPTrigger {
    const KIND: &'static str = "HTTPTrigger";

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        check_function_reference("spec.functionref", &spec.functionref, Targets::Any, found);
        check_paths(spec, found);
        if !spec.host.is_empty()
            && let Some(problem) = subdomain_problem(&spec.host)
        {
            found.invalid("spec.host", &spec.host, problem);
        }
        check_ingress(&spec.ingress_config, found);
        if let Some(route) = &spec.route_config {
            check_route(route, found);
        }
        if let Some(cors) = &spec.cors_config {
            check_cors(cors, found);
        }
    }
}

fn check_paths(spec: &HTTPTriggerSpec, found: &mut Found) {
    let prefix = spec.prefix.as_deref().unwrap_or_default();
    if spec.relative_url.is_empty() && prefix.is_empty() {
        found.required("spec.relativeurl", "a route needs relativeurl or prefix");
    }
    for (path, value) in [("spec.relativeurl", spec.relative_url.as_str()), ("spec.prefix", prefix)] {
        if value.is_empty() {
            continue;
        }
        if let Some(problem) = path_problem(value).or_else(|| template_problem(value)) {
            found.invalid(path, value, problem);
        }
    }
}

fn check_ingress(ingress: &IngressConfig, found: &mut Found) {
    if !ingress.path.is_empty() && !ingress.path.starts_with('/') {
        found.invalid("spec.ingressconfig.path", &ingress.path, "must begin with '/'");
    }
    let host = ingress.host.strip_prefix("*.").unwrap_or(&ingress.host);
    if !matches!(ingress.host.as_str(), "" | "*")
        && let Some(problem) = subdomain_problem(host)
    {
        found.invalid("spec.ingressconfig.host", &ingress.host, problem);
    }
}

fn check_route(route: &RouteConfig, found: &mut Found) {
    if !route.path.is_empty() && !route.path.starts_with('/') {
        found.invalid("spec.routeConfig.path", &route.path, "must begin with '/'");
    }
    for (index, host) in route.hostnames.iter().enumerate() {
        if let Some(problem) = subdomain_problem(host.strip_prefix("*.").unwrap_or(host)) {
            found.invalid(format!("spec.routeConfig.hostnames[{index}]"), host, problem);
        }
    }
    if route.provider != "gateway" {
        return;
    }
    if !route.tls.is_empty() {
        found.forbidden("spec.routeConfig.tls", "a Gateway holds its own certificates; not with provider gateway");
    }
    if route.gateway.as_ref().is_none_or(|gateway| gateway.parent_refs.is_empty()) {
        found.required("spec.routeConfig.gateway.parentRefs", "name the Gateway the route is attached to");
    }
}

fn check_cors(cors: &CorsConfig, found: &mut Found) {
    if cors.allow_credentials && cors.allow_origins.iter().any(|origin| origin == "*") {
        found.forbidden(
            "spec.corsConfig.allowCredentials",
            "browsers refuse credentials with origin \"*\"; list the origins",
        );
    }
    check_duration("spec.corsConfig.maxAge", &cors.max_age, found);
}

#[cfg(test)]
#[path = "http_trigger_tests.rs"]
mod tests;
