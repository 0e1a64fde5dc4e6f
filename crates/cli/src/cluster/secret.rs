//! The secret a platform in a cluster signs its internal requests with, as far as the user may read it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::noun::root_of;

/// The variable of a server that holds the secret.
pub(crate) const VARIABLE: &str = "FISSION_INTERNAL_AUTH_SECRET";
/// Name and key of the secret when nothing says otherwise.
const USUAL: (&str, &str) = ("fission-internal-auth", "secret");

/// A secret, or why there is none.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The secret.
    Secret(String),
    /// The platform has none: requests are not signed.
    None,
    /// The user may not see it.
    Hidden(String),
}

/// Name and key of the secret a server's pod takes its own from.
pub(super) fn named_by(pod: &DynamicObject) -> Option<(String, String)> {
    let containers = pod.data["spec"]["containers"].as_array()?;
    let mut variables = containers.iter().filter_map(|container| container["env"].as_array()).flatten();
    let reference = &variables.find(|variable| variable["name"] == VARIABLE)?["valueFrom"]["secretKeyRef"];
    Some((reference["name"].as_str()?.to_owned(), reference["key"].as_str()?.to_owned()))
}

/// Reads it. `given` is the name the user gave, `named` what a pod says.
pub(crate) async fn read(
    client: &Client,
    namespace: &str,
    given: Option<&str>,
    named: Option<&(String, String)>,
) -> Outcome<Found> {
    let named = named.map_or(USUAL, |(name, key)| (name.as_str(), key.as_str()));
    let (name, key) = given.map_or(named, |given| (given, USUAL.1));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    match api.get(name).await {
        Ok(secret) => match value(&secret.data, key) {
            Some(value) => Ok(Found::Secret(value)),
            None => Err(Failure::new(format_args!("secret '{name}' in namespace '{namespace}' has no key '{key}'"))
                .hint(format_args!("or give the secret itself: {VARIABLE}=SECRET"))),
        },
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Found::None),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            Ok(Found::Hidden(status.message.trim_end().to_owned()))
        }
        Err(error) => Err(Failure::new(format_args!(
            "cannot read secret '{name}' in namespace '{namespace}': {}",
            root_of(&error)
        ))),
    }
}

fn value(secret: &Value, key: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    // Not trimmed: the servers take it as it is.
    (!text.trim().is_empty()).then_some(text)
}
