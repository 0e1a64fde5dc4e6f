//! Secrets, config maps and variables of a function, read with the pod's own rights.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use fission_api::Function;
use fission_executor::configuration::{Lookup, Root, Source, needed, resolve};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::{Failure, Places, place};
use crate::names::namespace;

/// Writes the function's files; gives its variables.
pub(super) async fn configure(
    client: &Client,
    places: &Places,
    function: &Function,
) -> Result<BTreeMap<String, String>, Failure> {
    let (mut secrets, mut maps) = (HashMap::new(), HashMap::new());
    for source in needed(function) {
        match source {
            Source::Secret(name) => read::<Secret>(client, function, name, &mut secrets).await?,
            Source::ConfigMap(name) => read::<ConfigMap>(client, function, name, &mut maps).await?,
        }
    }
    let secret = |name: &str| secrets.get(name).cloned();
    let config_map = |name: &str| maps.get(name).cloned();
    let configuration = resolve(function, &Lookup { secret: &secret, config_map: &config_map })
        .map_err(|problem| Failure::fetcher(404, format!("the function cannot be configured: {problem}")))?;
    let (files, places) = (configuration.files, places.clone());
    let writing = tokio::task::spawn_blocking(move || {
        for file in &files {
            let root = match file.root {
                Root::Secrets => &places.secrets,
                Root::Configs => &places.configs,
            };
            place::write(root, &file.path, &file.content)?;
        }
        Ok::<(), std::io::Error>(())
    });
    let written = writing.await.unwrap_or_else(|error| Err(error.into()));
    written.map_err(|error| Failure::fetcher(500, format!("secrets and config maps could not be written: {error}")))?;
    Ok(configuration.env)
}

/// Reads an object, if it is there; what is missing and needed is told by whoever needs it.
async fn read<K>(
    client: &Client,
    function: &Function,
    name: String,
    found: &mut HashMap<String, Arc<K>>,
) -> Result<(), Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace(function));
    match api.get_opt(&name).await {
        Ok(Some(object)) => _ = found.insert(name, Arc::new(object)),
        Ok(None) => {}
        Err(error) => {
            let kind = K::kind(&());
            let what = format!("{kind} {}/{name} could not be read: {error}", namespace(function));
            return Err(Failure::fetcher(500, what));
        }
    }
    Ok(())
}
