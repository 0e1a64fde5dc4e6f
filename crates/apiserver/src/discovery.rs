//! Discovery: which groups, versions and resources there are, plain and aggregated.

use serde_json::{Value, json};

use crate::registry::{self, PODS, Resource, group_version};

/// `/api`.
pub(crate) fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })
}

/// `/apis`.
pub(crate) fn groups() -> Value {
    let groups: Vec<Value> = named_groups().map(|(name, version)| group(name, version)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/<group>`; `None` when there is no such group.
pub(crate) fn one_group(name: &str) -> Option<Value> {
    let (name, version) = named_groups().find(|(group, _)| *group == name)?;
    let mut group = group(name, version);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn named_groups() -> impl Iterator<Item = (&'static str, &'static str)> {
    registry::groups().into_iter().filter(|(group, _)| !group.is_empty())
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": group_version(name, version), "version": version });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

/// `/api/v1` and `/apis/<group>/<version>`; `None` when there is no such version.
pub(crate) fn resources(group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for resource in of(group, version) {
        let verbs = resource.verbs();
        list.push(json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": verbs, "shortNames": resource.short_names,
            "storageVersionHash": format!("{:08x}", crc32fast::hash(resource.qualified().as_bytes())),
        }));
        for (name, verbs) in subresources(resource) {
            list.push(json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced,
                "kind": resource.kind, "verbs": verbs,
            }));
        }
    }
    if list.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version), "resources": list,
    }))
}

fn of<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = &'static Resource> + 'a {
    registry::all().iter().filter(move |it| it.group == group && it.version == version)
}

fn subresources(resource: &Resource) -> Vec<(&'static str, &'static [&'static str])> {
    if resource.id == PODS {
        return vec![("log", &["get"])];
    }
    if resource.has_status { vec![("status", &["get", "patch", "update"])] } else { Vec::new() }
}

/// Aggregated discovery: `/api` when `core`, else `/apis`.
pub(crate) fn aggregated(core: bool, version: &str) -> Value {
    let groups = registry::groups().into_iter().filter(|(group, _)| group.is_empty() == core);
    let items: Vec<Value> = groups
        .map(|(group, served)| {
            let resources: Vec<Value> = of(group, served).map(aggregated_resource).collect();
            json!({
                "metadata": { "name": group, "creationTimestamp": null },
                "versions": [{ "version": served, "freshness": "Current", "resources": resources }],
            })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(resource: &'static Resource) -> Value {
    let kind = json!({ "group": resource.group, "version": resource.version, "kind": resource.kind });
    let mut json = json!({
        "resource": resource.plural, "responseKind": kind, "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" }, "verbs": resource.verbs(),
    });
    if !resource.short_names.is_empty() {
        json["shortNames"] = json!(resource.short_names);
    }
    let below: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|(name, verbs)| json!({ "subresource": name, "responseKind": kind, "verbs": verbs }))
        .collect();
    if !below.is_empty() {
        json["subresources"] = Value::Array(below);
    }
    json
}

/// `/version`.
pub(crate) fn version(version: &str) -> Value {
    // Clients read the Kubernetes version whose API this is; ours is the build metadata behind it.
    json!({
        "major": "1", "minor": "33", "gitVersion": format!("v1.33.0+fission-{version}"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        "emulationMajor": "1", "emulationMinor": "33", "minCompatibilityMajor": "1", "minCompatibilityMinor": "32",
    })
}
