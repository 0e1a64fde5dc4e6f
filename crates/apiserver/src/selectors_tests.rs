//! Tests of selectors.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::registry;
use crate::storage::Draft;

fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
    let labels: Vec<(Box<str>, Box<str>)> =
        labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    LabelSelector::parse(selector).unwrap().matches(&labels)
}

#[test]
fn label_selectors_mean_what_kubernetes_means() {
    let labels = [("app", "web"), ("tier", "front"), ("example.com/n", "5")];
    for hit in [
        "",
        "app=web",
        "app==web",
        "app!=db",
        "none!=x",
        "app in (web, db)",
        "app notin (db)",
        "none notin (x)",
        "app",
        "!none",
        "app=web,tier=front",
        "example.com/n>4",
        "example.com/n<6",
        "app in (web),!none",
        "none!=",
    ] {
        assert!(matches(hit, &labels), "{hit}");
    }
    for miss in
        ["app=db", "none", "!app", "app in (db)", "app notin (web)", "app=web,tier=back", "example.com/n>5", "none="]
    {
        assert!(!matches(miss, &labels), "{miss}");
    }
}

#[test]
fn a_selector_that_makes_no_sense_is_refused() {
    for bad in ["a b", "=x", "a in (x", "a=b c", "-a=b", "a>x", "a/b/c=d"] {
        let error = LabelSelector::parse(bad).unwrap_err();
        assert!(error.code == 400 && error.message.contains("unable to parse requirement"), "{bad}: {}", error.message);
    }
}

#[test]
fn fields_that_cannot_be_selected_by_are_refused() {
    let functions = registry::find("fission.io", "v1", "functions").unwrap();
    let error = FieldSelector::parse("spec.x=1", functions).unwrap_err();
    assert!(error.message.contains("field label not supported: spec.x"), "{}", error.message);
    assert!(FieldSelector::parse("metadata.name", functions).is_err());
}

#[test]
fn events_are_selected_by_what_they_are_about() {
    let events = registry::find("", "v1", "events").unwrap();
    let event = json!({ "metadata": { "name": "e" }, "involvedObject": { "kind": "Function", "name": "hello" }, "type": "Normal" });
    let (key, object) = (Key::new(events.id, "default", "e"), Draft::new(&event).seal(1, 1));
    let hit = |text: &str| FieldSelector::parse(text, events).unwrap().matches(&key, &object);
    assert!(hit("involvedObject.name=hello,involvedObject.kind=Function"));
    assert!(hit("metadata.name=e,metadata.namespace=default,type!=Warning,involvedObject.uid="));
    assert!(!hit("involvedObject.name=other"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "[a-z0-9=!,() <>./-]{0,40}") {
        let _ = LabelSelector::parse(&text);
    }

    #[test]
    fn a_set_requirement_is_the_or_of_its_equalities(value in "[a-c]", wanted in prop::collection::vec("[a-c]", 1..4)) {
        let labels = [("k", value.as_str())];
        let any = wanted.iter().any(|it| matches(&format!("k={it}"), &labels));
        prop_assert_eq!(matches(&format!("k in ({})", wanted.join(",")), &labels), any);
        prop_assert_eq!(matches(&format!("k notin ({})", wanted.join(",")), &labels), !any);
    }
}
