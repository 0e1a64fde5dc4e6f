//! Tests of admission.

use super::*;
use crate::registry;

fn admission(subresource: &'static str) -> Admission<'static> {
    Admission {
        resource: registry::find("fission.io", "v1", "environments").unwrap(),
        namespace: "default",
        manager: "test",
        subresource,
        validation: FieldValidation::Strict,
    }
}

fn stored() -> Value {
    let mut object = json!({ "metadata": { "name": "e" }, "spec": { "version": 2, "runtime": { "image": "i" } } });
    admission("").identify(&mut object).unwrap();
    admission("").create(&mut object, false).unwrap();
    object["metadata"]["resourceVersion"] = "7".into();
    object
}

#[test]
fn a_new_object_gets_what_the_server_sets_and_no_status() {
    let mut object = json!({
        "metadata": { "name": "e", "uid": "mine", "resourceVersion": "5", "generation": 9 },
        "spec": { "version": 2, "runtime": { "image": "i" } }, "status": { "x": 1 },
    });
    admission("").identify(&mut object).unwrap();
    admission("").create(&mut object, false).unwrap();
    let meta = &object["metadata"];
    assert_eq!((meta["generation"].as_i64(), meta["namespace"].as_str()), (Some(1), Some("default")));
    assert!(meta["uid"] != "mine" && meta["creationTimestamp"].is_string() && meta["resourceVersion"].is_null());
    assert_eq!(meta["managedFields"][0]["manager"], "test");
    assert!(object["status"].is_null());
}

#[test]
fn the_generation_counts_changes_of_the_spec_only() {
    let live = stored();
    let mut labelled = live.clone();
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    let labelled = admission("").update(&live, labelled, false).unwrap().unwrap();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let mut changed = live.clone();
    changed["spec"]["poolsize"] = 5.into();
    let changed = admission("").update(&live, changed, false).unwrap().unwrap();
    assert_eq!(changed["metadata"]["generation"], 2);
}

#[test]
fn nothing_changed_is_no_write() {
    let live = stored();
    assert!(admission("").update(&live, live.clone(), false).unwrap().is_none());
}

#[test]
fn status_and_the_rest_are_written_apart() {
    let live = stored();
    let mut both = live.clone();
    both["spec"]["poolsize"] = 5.into();
    both["status"] = json!({ "observedGeneration": 1 });
    let spec = admission("").update(&live, both.clone(), false).unwrap().unwrap();
    assert!(spec["status"].is_null() && spec["spec"]["poolsize"] == 5);
    let status = admission("status").update(&live, both, false).unwrap().unwrap();
    assert!(status["status"]["observedGeneration"] == 1 && status["spec"]["poolsize"] != 5);
    assert_eq!(status["metadata"]["generation"], 1);
}

#[test]
fn a_body_of_another_kind_or_namespace_is_refused() {
    for wrong in [
        json!({ "kind": "Function", "metadata": { "name": "e" } }),
        json!({ "apiVersion": "v1", "metadata": { "name": "e" } }),
        json!({ "metadata": { "name": "e", "namespace": "other" } }),
        json!([]),
    ] {
        assert_eq!(admission("").identify(&mut wrong.clone()).unwrap_err().code.as_u16(), 400, "{wrong}");
    }
}

#[test]
fn an_object_being_deleted_takes_no_new_finalizers() {
    let mut live = stored();
    live["metadata"]["deletionTimestamp"] = now().into();
    live["metadata"]["finalizers"] = json!(["a/b"]);
    let mut next = live.clone();
    next["metadata"]["finalizers"] = json!(["a/b", "c/d"]);
    let error = admission("").update(&live, next, false).unwrap_err();
    assert!(error.message.contains("no new finalizers"), "{}", error.message);
}
