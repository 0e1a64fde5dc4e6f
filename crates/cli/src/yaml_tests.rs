//! What splitting, reading and writing YAML promises.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn texts(text: &str) -> Vec<&str> {
    documents(text).into_iter().map(|document| document.text.trim()).collect()
}

#[test]
fn documents_are_cut_at_markers_and_blank_ones_are_left_out() {
    assert_eq!(texts("a: 1\n---\nb: 2\n"), ["a: 1", "b: 2"]);
    assert_eq!(texts("---\na: 1\n---\n---\n# only a comment\n---\nb: 2\n...\n"), ["a: 1", "b: 2"]);
    assert_eq!(texts("--- {a: 1}\n--- # second\nb: 2"), ["{a: 1}", "# second\nb: 2"]);
    assert_eq!(texts("a: 1\r\n---\r\nb: 2\r\n"), ["a: 1", "b: 2"]);
    assert_eq!(texts(""), [] as [&str; 0]);
}

#[test]
fn a_pem_block_or_an_indented_rule_does_not_break_a_document() {
    let text = "cert: |\n  -----BEGIN CERTIFICATE-----\n  abc\n  ---\n  -----END CERTIFICATE-----\nname: x\n";
    assert_eq!(documents(text).len(), 1);
    let value = value_of(documents(text)[0].text).unwrap();
    assert_eq!(value["cert"], "-----BEGIN CERTIFICATE-----\nabc\n---\n-----END CERTIFICATE-----\n");
    assert_eq!(documents("-----BEGIN").len(), 1);
}

#[test]
fn documents_know_the_line_they_start_on() {
    let lines: Vec<usize> = documents("a: 1\n---\nb: 2\n---\nc: 3\n").iter().map(|document| document.line).collect();
    assert_eq!(lines, [1, 2, 4]);
}

#[test]
fn yaml_is_written_as_people_write_it() {
    let value = json!({
        "kind": "HTTPTrigger",
        "spec": {"methods": ["GET", "POST"], "on": "on", "number": "12", "none": null, "empty": {}, "text": "a: b"},
    });
    insta::assert_snapshot!(text_of(&value).unwrap(), @r#"
    kind: HTTPTrigger
    spec:
      empty: {}
      methods:
      - GET
      - POST
      none: null
      number: "12"
      "on": "on"
      text: "a: b"
    "#);
}

proptest! {
    #[test]
    fn joined_documents_are_cut_where_they_were_joined(
        bodies in proptest::collection::vec("[a-z]{1,8}: [a-z0-9 -]{0,20}[a-z](\n[a-z]{1,8}: \"[ -]{0,4}\")?", 1..6)
    ) {
        let text = bodies.join("\n---\n");
        prop_assert_eq!(texts(&text), bodies.iter().map(|body| body.trim()).collect::<Vec<_>>());
    }

    #[test]
    fn any_string_survives_being_written_and_read(text in "\\PC{0,40}", lines in "([ -~]{0,12}\n){0,3}[ -~]{0,12}") {
        let value = json!({"a": text, "b": [lines], "c": {"d": text}});
        prop_assert_eq!(value_of(&text_of(&value).unwrap()).unwrap(), value);
    }
}
