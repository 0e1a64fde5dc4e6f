//! What happens by itself after a delete: finalizers, owners, namespaces.

use fission_api::Function;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::world::{function, functions, until, world};

#[tokio::test]
async fn an_object_with_a_finalizer_stays_until_it_is_taken_away() {
    let (_server, client) = world();
    let api = functions(&client);
    let mut held = function("f");
    held.finalizers_mut().push("example.com/hold".to_owned());
    api.create(&PostParams::default(), &held).await.unwrap();
    let deleting = api.delete("f", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(deleting.metadata.deletion_timestamp.is_some());
    assert!(api.get_opt("f").await.unwrap().is_some());
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("f", &PatchParams::default(), &patch).await.unwrap();
    assert!(api.get_opt("f").await.unwrap().is_none());
}

async fn owner_and_dependent(client: &Client) -> (Api<Function>, Api<ConfigMap>) {
    let (owners, maps) = (functions(client), Api::<ConfigMap>::default_namespaced(client.clone()));
    let owner = owners.create(&PostParams::default(), &function("owner")).await.unwrap();
    let mut reference = owner.controller_owner_ref(&()).unwrap();
    reference.block_owner_deletion = Some(true);
    let mut map = ConfigMap::default();
    map.metadata.name = Some("dependent".to_owned());
    map.metadata.owner_references = Some(vec![reference]);
    maps.create(&PostParams::default(), &map).await.unwrap();
    (owners, maps)
}

fn policy(policy: PropagationPolicy) -> DeleteParams {
    DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() }
}

#[tokio::test]
async fn what_belongs_to_a_deleted_object_goes_after_it() {
    let (_server, client) = world();
    let (owners, maps) = owner_and_dependent(&client).await;
    owners.delete("owner", &policy(PropagationPolicy::Background)).await.unwrap();
    assert!(owners.get_opt("owner").await.unwrap().is_none());
    until("the dependent goes", || async { maps.get_opt("dependent").await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_waits_for_what_belongs_to_it() {
    let (_server, client) = world();
    let (owners, maps) = owner_and_dependent(&client).await;
    let hold = Patch::Merge(json!({ "metadata": { "finalizers": ["example.com/hold"] } }));
    maps.patch("dependent", &PatchParams::default(), &hold).await.unwrap();
    owners.delete("owner", &policy(PropagationPolicy::Foreground)).await.unwrap();
    until("the dependent is being deleted", || async {
        maps.get("dependent").await.unwrap().metadata.deletion_timestamp.is_some()
    })
    .await;
    assert!(owners.get_opt("owner").await.unwrap().is_some(), "the owner waits");
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    maps.patch("dependent", &PatchParams::default(), &release).await.unwrap();
    until("the owner goes", || async { owners.get_opt("owner").await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn orphans_stay_without_their_owner() {
    let (_server, client) = world();
    let (owners, maps) = owner_and_dependent(&client).await;
    owners.delete("owner", &policy(PropagationPolicy::Orphan)).await.unwrap();
    until("the owner goes", || async { owners.get_opt("owner").await.unwrap().is_none() }).await;
    assert!(maps.get("dependent").await.unwrap().owner_references().is_empty());
}

#[tokio::test]
async fn an_object_of_an_owner_that_never_was_goes() {
    let (_server, client) = world();
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "m", "ownerReferences": [
        { "apiVersion": "fission.io/v1", "kind": "Function", "name": "none", "uid": "none" }] } }))
    .unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    until("the object goes", || async { maps.get_opt("m").await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn an_owner_of_a_kind_not_served_here_is_left_alone() {
    let (_server, client) = world();
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "m", "ownerReferences": [
        { "apiVersion": "apps/v9", "kind": "Thing", "name": "t", "uid": "t" }] } }))
    .unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    // Another object that does go shows that the collector has come by.
    let (owners, dependents) = owner_and_dependent(&client).await;
    owners.delete("owner", &DeleteParams::default()).await.unwrap();
    until("the collector comes by", || async { dependents.get_opt("dependent").await.unwrap().is_none() }).await;
    assert!(maps.get_opt("m").await.unwrap().is_some());
}

#[tokio::test]
async fn a_deleted_namespace_takes_its_contents_along_and_refuses_new_ones() {
    let (_server, client) = world();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let team: Namespace = serde_json::from_value(json!({ "metadata": { "name": "team" } })).unwrap();
    namespaces.create(&PostParams::default(), &team).await.unwrap();
    let api: Api<Function> = Api::namespaced(client, "team");
    let mut held = function("held");
    held.finalizers_mut().push("example.com/hold".to_owned());
    api.create(&PostParams::default(), &held).await.unwrap();
    api.create(&PostParams::default(), &function("free")).await.unwrap();
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    until("the free one goes", || async { api.get_opt("free").await.unwrap().is_none() }).await;
    let error = api.create(&PostParams::default(), &function("new")).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
    assert_eq!(namespaces.get("team").await.unwrap().status.unwrap().phase.as_deref(), Some("Terminating"));
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("held", &PatchParams::default(), &release).await.unwrap();
    until("the namespace goes", || async { namespaces.get_opt("team").await.unwrap().is_none() }).await;
}
