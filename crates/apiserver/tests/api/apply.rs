//! Server-side apply through `kube`.

use fission_api::Function;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{function_json, functions, world};

async fn apply(api: &Api<Function>, manager: &str, object: &Value, force: bool) -> Result<Function, kube::Error> {
    let mut params = PatchParams::apply(manager);
    params.force = force;
    api.patch("f", &params, &Patch::Apply(object)).await
}

#[tokio::test]
async fn apply_creates_then_changes_and_applying_again_writes_nothing() {
    let (_server, client) = world();
    let api = functions(&client);
    let mut object = function_json("f");
    let made = apply(&api, "one", &object, false).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let again = apply(&api, "one", &object, false).await.unwrap();
    assert_eq!(again.metadata.resource_version, made.metadata.resource_version);
    object["spec"]["functionTimeout"] = 9.into();
    let changed = apply(&api, "one", &object, false).await.unwrap();
    assert_eq!((changed.spec.function_timeout, changed.metadata.generation), (9, Some(2)));
    let removed = apply(&api, "one", &function_json("f"), false).await.unwrap();
    assert_eq!(removed.spec.function_timeout, 0);
}

#[tokio::test]
async fn two_managers_conflict_with_causes_until_one_forces() {
    let (_server, client) = world();
    let api = functions(&client);
    let mut object = function_json("f");
    object["spec"]["functionTimeout"] = 5.into();
    apply(&api, "one", &object, false).await.unwrap();
    object["spec"]["functionTimeout"] = 6.into();
    let error = apply(&api, "two", &object, false).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert_eq!(status.code, 409);
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(
        (causes[0].field.as_str(), causes[0].reason.as_str()),
        (".spec.functionTimeout", "FieldManagerConflict")
    );
    assert_eq!(causes[0].message, "conflict with \"one\" using fission.io/v1");
    assert_eq!(apply(&api, "two", &object, true).await.unwrap().spec.function_timeout, 6);
}

#[tokio::test]
async fn a_field_another_client_updated_is_in_conflict() {
    let (_server, client) = world();
    let api = functions(&client);
    let mut object = function_json("f");
    object["spec"]["functionTimeout"] = 5.into();
    apply(&api, "one", &object, false).await.unwrap();
    let params = PatchParams { field_manager: Some("editor".to_owned()), ..PatchParams::default() };
    api.patch("f", &params, &Patch::Merge(json!({ "spec": { "functionTimeout": 7 } }))).await.unwrap();
    let error = apply(&api, "one", &object, false).await.unwrap_err();
    assert!(error.to_string().contains("editor"), "{error}");
}

#[tokio::test]
async fn labels_of_different_managers_live_side_by_side() {
    let (_server, client) = world();
    let api = functions(&client);
    apply(&api, "one", &function_json("f"), false).await.unwrap();
    let label = |name: &str| json!({ "apiVersion": "fission.io/v1", "kind": "Function", "metadata": { "labels": { name: "x" } } });
    apply(&api, "two", &label("two"), false).await.unwrap();
    let both = apply(&api, "three", &label("three"), false).await.unwrap();
    assert_eq!(both.metadata.labels.unwrap().len(), 2);
    let none = json!({ "apiVersion": "fission.io/v1", "kind": "Function", "metadata": {} });
    let left = apply(&api, "two", &none, false).await.unwrap();
    assert_eq!(left.metadata.labels.unwrap().into_keys().collect::<Vec<_>>(), ["three"]);
}
