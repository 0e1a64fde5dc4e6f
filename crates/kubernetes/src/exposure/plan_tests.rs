//! What is to be done about what is there.

use serde_json::json;

use super::super::wanted::tests::trigger;
use super::super::wanted::wanted;
use super::*;

const PLACE: &str = "fission";

fn asks(namespace: &str, name: &str, age: &str) -> Wanted {
    let mut trigger = trigger(namespace, name, json!({ "createingress": true }));
    let time = format!("2026-01-01T00:00:{age}Z");
    trigger.metadata.creation_timestamp = Some(serde_json::from_value(json!(time)).unwrap());
    wanted(&trigger).unwrap().unwrap()
}

fn planned(wanted: &[&Wanted], there: &[DynamicObject]) -> Vec<Step> {
    plan(Kind::Ingress, PLACE, wanted, there)
}

/// What is there after the one step to create something was done.
fn created(wanted: &Wanted) -> DynamicObject {
    let [Step::Create { object, .. }] = &planned(&[wanted], &[])[..] else { panic!("nothing is created") };
    let mut object = (**object).clone();
    object.metadata.uid = Some(format!("uid-of-{}", object.name_any()));
    object
}

fn foreign(name: &str) -> DynamicObject {
    let object = DynamicObject::new(name, &Kind::Ingress.resource()).within(PLACE);
    object.data(json!({ "spec": { "defaultBackend": { "service": { "name": "shop", "port": { "number": 80 } } } } }))
}

fn words(steps: &[Step]) -> Vec<String> {
    let word = |step: &Step| match step {
        Step::Keep { trigger, name } => format!("keep {name} of {trigger}"),
        Step::Create { trigger, object } => format!("create {} for {trigger}", object.name_any()),
        Step::Replace { trigger, object } => format!("replace {} of {trigger}", object.name_any()),
        Step::Wait { trigger, verdict } => format!("{} for {trigger}", verdict.reason),
        Step::Delete { object, .. } => format!("delete {}", object.name_any()),
    };
    steps.iter().map(word).collect()
}

#[test]
fn what_is_asked_for_is_made_once_and_then_kept() {
    let cart = asks("shop", "cart", "00");
    let object = created(&cart);
    assert_eq!((object.name_any().as_str(), object.namespace().as_deref()), ("cart", Some(PLACE)));
    assert_eq!(words(&planned(&[&cart], &[object])), ["keep cart of shop/cart"]);
}

#[test]
fn the_older_of_two_triggers_has_the_name_and_the_other_one_of_its_own() {
    let (old, new) = (asks("b", "cart", "01"), asks("a", "cart", "02"));
    let apart = names::exposed_apart("a", "cart");
    assert!(apart.starts_with("cart-") && apart.len() == "cart-".len() + 8, "{apart}");
    let steps = planned(&[&new, &old], &[]);
    assert_eq!(words(&steps), ["create cart for b/cart".to_owned(), format!("create {apart} for a/cart")]);
    // The names stay when the other goes: an address at the edge does not move.
    let mut second = created(&new);
    second.metadata.name = Some(apart.clone());
    assert_eq!(words(&planned(&[&new], &[second])), [format!("keep {apart} of a/cart")]);
}

#[test]
fn what_others_made_is_never_touched() {
    let router = asks("shop", "router", "00");
    let apart = names::exposed_apart("shop", "router");
    let there = [foreign("router"), foreign("other")];
    assert_eq!(words(&planned(&[&router], &there)), [format!("create {apart} for shop/router")]);
    let there = [foreign("router"), foreign(&apart)];
    assert_eq!(words(&planned(&[&router], &there)), ["NameTaken for shop/router"]);
    assert_eq!(words(&planned(&[], &there)), [""; 0]);
}

#[test]
fn what_nobody_asks_for_is_deleted_and_a_second_one_too() {
    let cart = asks("shop", "cart", "00");
    let object = created(&cart);
    let mut second = object.clone();
    second.metadata.name = Some("another".to_owned());
    let there = [second, object];
    assert_eq!(words(&planned(&[&cart], &there)), ["keep cart of shop/cart", "delete another"]);
    let steps = planned(&[], &there);
    assert_eq!(words(&steps), ["delete another", "delete cart"]);
    let Step::Delete { owner, .. } = &steps[0] else { panic!("not deleted") };
    assert_eq!(*owner, ("shop".to_owned(), "cart".to_owned()));
}

#[test]
fn one_that_is_going_is_waited_for() {
    let cart = asks("shop", "cart", "00");
    let mut object = created(&cart);
    object.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    assert_eq!(words(&planned(&[&cart], std::slice::from_ref(&object))), ["BeingDeleted for shop/cart"]);
    assert_eq!(words(&planned(&[], &[object])), [""; 0]);
}

#[test]
fn what_was_changed_is_put_right_and_what_a_cluster_adds_stays() {
    let cart = asks("shop", "cart", "00");
    let mut object = created(&cart);
    object.data["spec"]["ingressClassName"] = json!("nginx");
    object.data["spec"]["rules"][0]["http"]["paths"][0]["filled-in"] = json!(1);
    object.data["status"] = json!({ "loadBalancer": {} });
    object.annotations_mut().insert("cert-manager.io/seen".to_owned(), "yes".to_owned());
    object.labels_mut().insert("team".to_owned(), "a".to_owned());
    assert_eq!(words(&planned(&[&cart], std::slice::from_ref(&object))), ["keep cart of shop/cart"]);
    let mut drifted = object.clone();
    drifted.data["spec"]["rules"][0]["http"]["paths"][0]["path"] = json!("/elsewhere");
    drifted.data["spec"]["tls"] = json!([{ "secretName": "x" }]);
    drifted.labels_mut().insert("functionName".to_owned(), "x".to_owned());
    let steps = planned(&[&cart], &[drifted]);
    let [Step::Replace { object: right, .. }] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(right.data["spec"]["rules"], Value::Object(cart.spec.clone())["rules"]);
    assert_eq!(right.data["spec"].get("tls"), None);
    assert_eq!(right.data["spec"]["ingressClassName"], "nginx");
    assert_eq!((right.labels()["functionName"].as_str(), right.labels()["team"].as_str()), ("hello", "a"));
    assert_eq!(right.metadata.uid, object.metadata.uid, "it is the same object");
}

#[test]
fn an_annotation_the_trigger_no_longer_has_is_taken_away_and_others_stay() {
    let with = |annotations: Value| {
        let spec = json!({ "createingress": true, "ingressconfig": { "annotations": annotations } });
        wanted(&trigger("shop", "cart", spec)).unwrap().unwrap()
    };
    let mut object = created(&with(json!({ "a": "1", "b": "2" })));
    object.annotations_mut().insert("controllers".to_owned(), "own".to_owned());
    let after = |wanted: &Wanted, object: &DynamicObject| -> Vec<String> {
        let steps = planned(&[wanted], std::slice::from_ref(object));
        let [Step::Replace { object, .. }] = &steps[..] else { panic!("{steps:?}") };
        object.annotations().iter().map(|(key, value)| format!("{key}={value}")).collect()
    };
    assert_eq!(after(&with(json!({ "b": "3" })), &object), ["b=3", "controllers=own", "fission.io/annotations=b"]);
    assert_eq!(after(&with(Value::Null), &object), ["controllers=own"]);
}
