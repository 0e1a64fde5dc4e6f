//! The kinds a spec directory manages, in the order they are applied.

use std::collections::HashMap;

use fission_api::{
    Environment, Function, FunctionAlias, HTTPTrigger, KubernetesWatchTrigger, MessageQueueTrigger, Package,
    TimeTrigger, Workflow,
};
use futures_util::future::join_all;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files::Specs;
use crate::failure::{Failure, Outcome};
use crate::noun::explain;
use crate::session::Session;

/// A managed kind.
pub(super) struct Managed {
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    /// How summaries call it.
    pub(super) word: &'static str,
    /// The object as its type keeps it: `null`, absent and default are the same, unknown fields are gone.
    normal: fn(Value) -> Result<Value, String>,
}

/// Every managed kind. Objects are created in this order, so that nothing refers to what is not there yet.
pub(super) const MANAGED: &[Managed] = &[
    managed::<Environment>("Environment", "environments", "environment"),
    managed::<Package>("Package", "packages", "package"),
    managed::<Function>("Function", "functions", "function"),
    managed::<FunctionAlias>("FunctionAlias", "functionaliases", "FunctionAlias"),
    managed::<HTTPTrigger>("HTTPTrigger", "httptriggers", "HTTPTrigger"),
    managed::<KubernetesWatchTrigger>("KubernetesWatchTrigger", "kuberneteswatchtriggers", "KubernetesWatchTrigger"),
    managed::<TimeTrigger>("TimeTrigger", "timetriggers", "TimeTrigger"),
    managed::<Workflow>("Workflow", "workflows", "Workflow"),
    managed::<MessageQueueTrigger>("MessageQueueTrigger", "messagequeuetriggers", "MessageQueueTrigger"),
];

/// The order objects are deleted in: what refers first, what is referred to last.
pub(super) const DESTROY_ORDER: &[&str] = &[
    "HTTPTrigger",
    "KubernetesWatchTrigger",
    "TimeTrigger",
    "MessageQueueTrigger",
    "Workflow",
    "FunctionAlias",
    "Function",
    "Package",
    "Environment",
];

const fn managed<K: DeserializeOwned + Serialize>(
    kind: &'static str,
    plural: &'static str,
    word: &'static str,
) -> Managed {
    Managed { kind, plural, word, normal: normal::<K> }
}

fn normal<K: DeserializeOwned + Serialize>(value: Value) -> Result<Value, String> {
    let typed: K = serde_json::from_value(value).map_err(|error| error.to_string())?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

/// The managed kind of this name.
pub(super) fn managed_kind(kind: &str) -> Option<&'static Managed> {
    MANAGED.iter().find(|managed| managed.kind == kind)
}

impl Managed {
    /// The spec two objects are compared by, with the defaults the server stores.
    pub(super) fn comparable(&self, object: &Value) -> Outcome<Value> {
        let mut object = object.clone();
        if let Some(map) = object.as_object_mut() {
            map.remove("status");
        }
        if let Some(info) = fission_api::kind(self.kind) {
            (info.default)(&mut object);
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let normal = (self.normal)(object)
            .map_err(|why| Failure::new(format_args!("{} '{name}' is invalid: {why}", self.kind)))?;
        Ok(normal["spec"].clone())
    }

    fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(fission_api::GROUP, fission_api::VERSION, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }

    /// The API of this kind in one namespace.
    pub(super) fn api(&self, client: Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client, namespace, &self.resource())
    }

    /// All objects of this kind, in all namespaces that may be seen, by namespace and name.
    pub(super) async fn live(&self, s: &mut Session) -> Outcome<Vec<DynamicObject>> {
        let client = s.client().await?;
        self.list(client, std::slice::from_ref(&s.namespace))
            .await
            .map_err(|error| explain(s, &format!("cannot list objects of kind {}", self.kind), error))
    }

    /// One who may not list everywhere still applies files of the namespaces that are open to them.
    async fn list(&self, client: Client, namespaces: &[String]) -> Result<Vec<DynamicObject>, kube::Error> {
        let params = ListParams::default();
        let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &self.resource());
        let mut objects = match everywhere.list(&params).await {
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let mut found = Vec::new();
                for namespace in namespaces {
                    found.extend(self.api(client.clone(), namespace).list(&params).await?.items);
                }
                found
            }
            listed => listed?.items,
        };
        objects.sort_by_key(|object| (object.metadata.namespace.clone(), object.metadata.name.clone()));
        Ok(objects)
    }
}

/// What the server has of the kinds of a spec directory, read once and at once.
pub(super) struct Live(HashMap<&'static str, Vec<DynamicObject>>);

impl Live {
    pub(super) async fn read(specs: &Specs, s: &mut Session) -> Outcome<Self> {
        let client = s.client().await?;
        let mut namespaces: Vec<String> = specs.items.iter().map(|item| item.namespace.clone()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        let kinds = MANAGED.iter().filter(|kind| specs.of_kind(kind.kind).next().is_some());
        let lists = kinds.map(async |kind| (kind.kind, kind.list(client.clone(), &namespaces).await));
        let mut live = HashMap::new();
        for (kind, listed) in join_all(lists).await {
            let objects = listed.map_err(|error| explain(s, &format!("cannot list objects of kind {kind}"), error))?;
            live.insert(kind, objects);
        }
        Ok(Self(live))
    }

    /// The objects of a kind; none of a kind the directory does not have.
    pub(super) fn of(&self, kind: &str) -> &[DynamicObject] {
        self.0.get(kind).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The deployment uid an object carries.
pub(super) fn owner(object: &DynamicObject) -> Option<&str> {
    object.metadata.annotations.as_ref()?.get(fission_api::labels::SPEC_UID).map(String::as_str)
}
