//! Whether a cluster has the definitions of our kinds, and whether they are as new as this command.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Definition;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::findings::Findings;

/// Label of our definitions.
const LABEL: &str = "group=fission.io";
/// Missing fields named of one definition.
const SHOWN: usize = 3;
/// What to do about missing and old definitions.
const INSTALL: &str =
    "install them with: kubectl apply --server-side -f deploy/crds (Helm does not change definitions on upgrade)";

/// Checks them. False when this user or server shows no definitions, so that nothing was checked.
pub(super) async fn check(client: &Client, found: &mut Findings) -> bool {
    let api: Api<Definition> = Api::all(client.clone());
    let Ok(listed) = api.list(&ListParams::default()).await else { return false };
    let ours: Vec<&Definition> =
        listed.iter().filter(|definition| definition.spec.group == fission_api::GROUP).collect();
    if ours.is_empty() {
        return false;
    }
    let (mut missing, mut old) = (Vec::new(), Vec::new());
    for info in fission_api::KINDS {
        match ours.iter().find(|definition| definition.spec.names.plural == info.plural) {
            None => missing.push(info.kind),
            Some(there) => match differences(there, &(info.crd)()) {
                lacking if lacking.is_empty() => {}
                lacking => old.push(format!("{} lacks {}", there.name_any(), shortened(&lacking))),
            },
        }
    }
    match (missing.is_empty(), old.is_empty()) {
        (true, true) => found.add(true, format!("the definitions of all {} kinds are there and current", ours.len())),
        _ => {
            if !missing.is_empty() {
                found.bad(format!("kinds without a definition ({LABEL}): {}", missing.join(", ")), INSTALL);
            }
            if !old.is_empty() {
                found.bad(format!("older than this command: {}", old.join("; ")), INSTALL);
            }
        }
    }
    true
}

fn shortened(fields: &[String]) -> String {
    match fields.len() {
        more if more > SHOWN => format!("{} and {} more", fields[..SHOWN].join(", "), more - SHOWN),
        _ => fields.join(", "),
    }
}

/// Fields of our definition that the installed one does not know, and would drop.
fn differences(there: &Definition, ours: &Definition) -> Vec<String> {
    let schema = |definition: &Definition| {
        let version =
            definition.spec.versions.iter().find(|version| version.name == fission_api::VERSION && version.served);
        version.map(|version| serde_json::to_value(&version.schema).unwrap_or_default()["openAPIV3Schema"].clone())
    };
    let Some(there) = schema(there) else { return vec![format!("version {}", fission_api::VERSION)] };
    let mut lacking = Vec::new();
    compare(&there, &schema(ours).unwrap_or_default(), "", &mut lacking);
    lacking
}

fn compare(there: &Value, ours: &Value, path: &str, lacking: &mut Vec<String>) {
    if there["x-kubernetes-preserve-unknown-fields"] == true {
        return; // it keeps whatever it is given
    }
    for (name, field) in ours["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match &there["properties"][name] {
            Value::Null => lacking.push(path),
            known => compare(known, field, &path, lacking),
        }
    }
    if ours["items"].is_object() {
        compare(&there["items"], &ours["items"], &format!("{path}[]"), lacking);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_current_when_it_knows_every_field_of_ours() {
        for info in fission_api::KINDS {
            assert!(differences(&(info.crd)(), &(info.crd)()).is_empty(), "{}", info.kind);
        }
        let ours = (fission_api::kind("Function").unwrap().crd)();
        let mut value = serde_json::to_value(&ours).unwrap();
        let spec = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
        spec.as_object_mut().unwrap().remove("concurrency");
        let old: Definition = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(differences(&old, &ours), ["spec.concurrency"]);
        value["spec"]["versions"][0]["served"] = false.into();
        let unserved: Definition = serde_json::from_value(value).unwrap();
        assert_eq!(differences(&unserved, &ours), ["version v1"]);
    }
}
