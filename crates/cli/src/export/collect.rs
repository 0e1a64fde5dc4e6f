//! The objects of a platform, as its API server has them.

use fission_api::KindInfo;
use kube::Api;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::Exported;
use super::clean::cleaned;
use super::references::Reference;
use crate::failure::{Doing, Failure, Outcome};
use crate::noun::explain;
use crate::session::Session;

/// Every object of our kinds in the namespace of the request, or of all; environments and packages first, as others
/// refer to them.
pub(super) async fn objects(s: &mut Session, all_namespaces: bool) -> Outcome<Vec<Exported>> {
    let mut kinds: Vec<&KindInfo> = fission_api::KINDS.iter().collect();
    kinds.sort_by_key(|info| match info.kind {
        "FissionTenant" => 0,
        "Environment" => 1,
        "Package" => 2,
        "Function" => 3,
        "FunctionVersion" => 4,
        _ => 5,
    });
    let mut objects = Vec::new();
    for info in kinds.into_iter().filter(|info| info.namespaced || all_namespaces) {
        let client = s.client().await?;
        let kind = GroupVersionKind::gvk(fission_api::GROUP, fission_api::VERSION, info.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, info.plural);
        let api: Api<DynamicObject> = match all_namespaces {
            true => Api::all_with(client, &resource),
            false => Api::namespaced_with(client, &s.namespace, &resource),
        };
        let listed = match api.list(&ListParams::default()).await {
            Ok(listed) => listed.items,
            Err(kube::Error::Api(status)) if status.code == 404 && info.kind != "Function" => {
                s.io.complain(format_args!("Warning: this server does not serve {}; it is left out", info.plural));
                continue;
            }
            Err(error) => return Err(explain(s, &format!("cannot list {}", info.plural), error)),
        };
        let mut found = Vec::new();
        for object in listed {
            let value = serde_json::to_value(&object).doing("cannot read an object")?;
            let api_version = format!("{}/{}", fission_api::GROUP, fission_api::VERSION);
            found.push(exported(info.kind, cleaned(&value, &api_version, info.kind)));
        }
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        objects.extend(found);
    }
    Ok(objects)
}

/// The Secrets and ConfigMaps that are referred to. One that is missing was missing before.
pub(super) async fn referred(s: &mut Session, references: &[Reference]) -> Outcome<Vec<Exported>> {
    let mut objects = Vec::new();
    for Reference { kind, namespace, name } in references {
        let client = s.client().await?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
        let doing = format!("cannot read {kind} '{name}' in namespace '{namespace}'");
        match api.get_opt(name).await {
            Ok(Some(object)) => {
                let value = serde_json::to_value(&object).doing(&doing)?;
                objects.push(exported(kind, cleaned(&value, "v1", kind)));
            }
            Ok(None) => s.io.complain(format_args!(
                "Warning: {kind} '{name}' is referred to, but is not in namespace '{namespace}'"
            )),
            Err(error) => return Err(hinted(explain(s, &doing, error))),
        }
    }
    Ok(objects)
}

fn hinted(failure: Failure) -> Failure {
    failure.hint("leave --with-secrets away to export everything else")
}

fn exported(kind: &str, value: Value) -> Exported {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    Exported { kind: kind.to_owned(), namespace, name, value, only_spec_apply: false }
}
