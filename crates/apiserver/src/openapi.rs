//! OpenAPI documents: what `kubectl explain` reads, and how clients learn that fields are validated here.

use serde_json::{Map, Value, json};

use crate::core_kinds;
use crate::registry::{self, Resource, group_version};

/// Name of the schema of metadata.
const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// `/openapi/v3`: where the document of each group version is.
pub(crate) fn v3_index() -> Value {
    let paths: Map<String, Value> = registry::groups()
        .into_iter()
        .map(|(group, version)| {
            let path = root(group, version);
            let hash = crc32fast::hash(path.as_bytes());
            (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash:08X}") }))
        })
        .collect();
    json!({ "paths": paths })
}

/// `/openapi/v3/<group version>`; `None` when there is no such version.
pub(crate) fn v3(path: &str) -> Option<Value> {
    let (group, version) = registry::groups().into_iter().find(|(group, version)| root(group, version) == path)?;
    let resources: Vec<&Resource> =
        registry::all().iter().filter(|it| it.group == group && it.version == version).collect();
    let mut schemas = definitions(&resources, "#/components/schemas/");
    schemas.insert(METADATA.to_owned(), core_kinds::metadata_schema());
    let paths: Map<String, Value> = resources.iter().flat_map(|resource| paths(resource, true)).collect();
    Some(json!({
        "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.33.0" },
        "paths": paths, "components": { "schemas": schemas },
    }))
}

/// `/openapi/v2`.
pub(crate) fn v2() -> Value {
    let resources: Vec<&Resource> = registry::all().iter().collect();
    let mut definitions = definitions(&resources, "#/definitions/");
    definitions.insert(METADATA.to_owned(), core_kinds::metadata_schema());
    let paths: Map<String, Value> = resources.iter().flat_map(|resource| paths(resource, false)).collect();
    json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": "v1.33.0" },
        "paths": paths, "definitions": definitions,
    })
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{}", group_version(group, version)) }
}

fn name(resource: &Resource) -> String {
    match resource.group {
        "" => format!("io.k8s.api.core.{}.{}", resource.version, resource.kind),
        "coordination.k8s.io" => format!("io.k8s.api.coordination.{}.{}", resource.version, resource.kind),
        group => {
            let reversed: Vec<&str> = group.split('.').rev().collect();
            format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
        }
    }
}

fn kind_extension(resource: &Resource) -> Value {
    json!({ "group": resource.group, "version": resource.version, "kind": resource.kind })
}

fn definitions(resources: &[&Resource], prefix: &str) -> Map<String, Value> {
    let mut definitions = Map::new();
    for resource in resources {
        let mut schema = resource.shape.clone().into_owned();
        let text = |description: &str| json!({ "type": "string", "description": description });
        schema["properties"]["apiVersion"] = text("Group and version of this object's kind.");
        schema["properties"]["kind"] = text("Kind of this object.");
        // A reference with siblings is written as allOf, which is how readers of both versions find the reference.
        schema["properties"]["metadata"] = json!({
            "description": "Standard object's metadata.", "allOf": [{ "$ref": format!("{prefix}{METADATA}") }], "default": {},
        });
        if prefix == "#/definitions/" {
            schema["properties"]["metadata"] = json!({ "$ref": format!("{prefix}{METADATA}") });
        }
        schema["x-kubernetes-group-version-kind"] = json!([kind_extension(resource)]);
        definitions.insert(name(resource), schema);
    }
    definitions
}

/// The paths of a resource. Clients look here for the kind behind a path, and whether a patch may be validated.
fn paths(resource: &Resource, v3: bool) -> Vec<(String, Value)> {
    let base = match resource.namespaced {
        true => format!("/{}/namespaces/{{namespace}}/{}", root(resource.group, resource.version), resource.plural),
        false => format!("/{}/{}", root(resource.group, resource.version), resource.plural),
    };
    let operation = |action: &str, writes: bool| {
        let reference = if v3 { "#/components/schemas/" } else { "#/definitions/" };
        let schema = json!({ "$ref": format!("{reference}{}", name(resource)) });
        let ok = if v3 {
            json!({ "description": "OK", "content": { "application/json": { "schema": schema } } })
        } else {
            json!({ "description": "OK", "schema": schema })
        };
        let text = if v3 { json!({ "schema": { "type": "string" } }) } else { json!({ "type": "string" }) };
        let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation"]
            .iter()
            .filter(|_| writes)
            .map(|name| {
                let mut parameter = text.clone();
                parameter["name"] = (*name).into();
                parameter["in"] = "query".into();
                parameter
            })
            .collect();
        json!({
            "operationId": format!("{action}{}{}", resource.group.replace('.', ""), resource.kind),
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind_extension(resource),
            "parameters": parameters, "responses": { "200": ok },
        })
    };
    let mut collection = json!({ "get": operation("list", false) });
    let mut item = json!({ "get": operation("get", false) });
    if resource.writable {
        collection["post"] = operation("post", true);
        item["put"] = operation("put", true);
        item["patch"] = operation("patch", true);
        item["delete"] = operation("delete", true);
    }
    vec![(base.clone(), collection), (format!("{base}/{{name}}"), item)]
}
