//! Tests of what is read from API objects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fission_executor::configuration::Configuration;
use fission_rpc::code::Code;
use serde_json::{Value, json};

use super::*;

fn environment(spec: Value) -> Environment {
    let mut object = json!({"apiVersion": "fission.io/v1", "kind": "Environment", "metadata": {"name": "e"}});
    object["spec"] = spec;
    serde_json::from_value(object).unwrap()
}

fn get<'a>(variables: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    variables.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn the_environments_variables_win_over_the_runtimes_and_ours() {
    let environment = environment(json!({"version": 3, "runtime": {"image": "x",
        "podspec": {"containers": [{"name": "e", "env": [{"name": "A", "value": "pod"}, {"name": "B", "value": "pod"}]}]},
        "container": {"env": [{"name": "A", "value": "container"}, {"name": "HOME", "value": "/h"}, {"name": "C"}]}}}));
    let runtime = [("B".to_owned(), "runtime".to_owned()), ("LANG".to_owned(), "de".to_owned())];
    let all = variables(&runtime, &environment, None).unwrap();
    assert_eq!(get(&all, "A"), ["container"]);
    assert_eq!(get(&all, "B"), ["pod"]);
    assert_eq!(get(&all, "C"), [""]);
    assert_eq!((get(&all, "HOME"), get(&all, "LANG")), (vec!["/h"], vec!["de"]));
}

#[test]
fn a_variable_this_machine_cannot_give_is_refused_by_name() {
    for (entry, part) in [
        (json!({"name": "S", "valueFrom": {"secretKeyRef": {}}}), "variable S takes its value from elsewhere"),
        (json!({"name": "A=B", "value": "x"}), "\"A=B\" is not the name"),
        (json!({"value": "x"}), "\"\" is not the name"),
    ] {
        let environment = environment(json!({"version": 3, "runtime": {"image": "x", "container": {"env": [entry]}}}));
        let error = variables(&[], &environment, None).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_instance_of_one_function_starts_with_its_literal_variables_and_gets_the_others_with_its_code() {
    let environment = environment(json!({"version": 3, "runtime": {"image": "x"}}));
    let function = json!({"apiVersion": "fission.io/v1", "kind": "Function", "metadata": {"name": "f"}, "spec": {"env": [
        {"name": "A", "value": "x"}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}});
    let function: Function = serde_json::from_value(function).unwrap();
    let all = variables(&[], &environment, Some(&function)).unwrap();
    assert_eq!((get(&all, "A"), get(&all, "S")), (vec!["x"], vec![]));
}

#[test]
fn the_specialize_body_has_the_keys_of_the_contract() {
    let function = json!({"apiVersion": "fission.io/v1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "ns"}, "spec": {"package": {"functionName": "a.b"}}});
    let mut load = Load {
        function: Arc::new(serde_json::from_value(function).unwrap()),
        package: Arc::default(),
        code: Code { path: PathBuf::from("/c"), digest: String::new() },
        configuration: Configuration::default(),
        filename: "deployarchive".to_owned(),
        environment_version: 3,
        timeout: Duration::from_secs(1),
    };
    let body: Value = serde_json::from_slice(&specialize_body(&load, "/userfunc/deployarchive").unwrap()).unwrap();
    assert_eq!(
        body,
        json!({"filepath": "/userfunc/deployarchive", "functionName": "a.b", "url": "", "envVersion": 3,
            "FunctionMetadata": {"name": "hello", "namespace": "ns"}})
    );
    load.configuration.env.insert("MODE".to_owned(), "test".to_owned());
    let body: Value = serde_json::from_slice(&specialize_body(&load, "/userfunc/deployarchive").unwrap()).unwrap();
    assert_eq!(body["env"], json!({"MODE": "test"}));
}
