//! The committed single files of `deploy/`: what every pod of every flavour must be, what must be there together, and how
//! the flavours differ.

mod flavours;
mod pods;
mod rights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Files with the platform's pods in them, and the file of the cluster's half that goes with each.
const PLATFORMS: [(&str, &str); 2] =
    [("fission.yaml", "fission.yaml"), ("fission-openshift.yaml", "fission-openshift-admin.yaml")];
/// The Template, which has the same pods.
const TEMPLATE: &str = "fission-openshift-template.yaml";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn text(file: &str) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The objects of a file, which is read once.
fn objects(file: &str) -> Vec<Value> {
    static READ: Mutex<BTreeMap<String, Vec<Value>>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if !read.contains_key(file) {
        let objects = documents(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        read.insert(file.to_owned(), objects);
    }
    read[file].clone()
}

/// The documents of YAML that are not empty. They are told apart by lines, as no value in these files has such a line.
fn documents(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let documents =
        text.split("\n---").filter(|part| part.lines().any(|line| !line.is_empty() && !line.starts_with('#')));
    documents.map(serde_saphyr::from_str).collect()
}

/// The objects of the Template with the parameters' own values.
fn processed(template: &Value) -> Vec<Value> {
    let parameters: BTreeMap<&str, &str> = template["parameters"]
        .as_array()
        .expect("a Template has parameters")
        .iter()
        .map(|parameter| (str(&parameter["name"]), str(&parameter["value"])))
        .collect();
    let mut objects = template["objects"].clone();
    substitute(&mut objects, &parameters);
    objects.as_array().expect("a Template has objects").clone()
}

/// As `oc process`: `${{X}}` is replaced by the value as YAML, `${X}` in the midst of text.
fn substitute(value: &mut Value, parameters: &BTreeMap<&str, &str>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, parameters)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, parameters)),
        Value::String(text) => {
            let typed = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
            if let Some(name) = typed {
                *value = serde_json::from_str(parameters[name]).expect("a typed parameter has a value of JSON");
            } else {
                for (name, given) in parameters {
                    *text = text.replace(&format!("${{{name}}}"), given);
                }
                assert!(!text.contains("${"), "{text} has a parameter nobody declared");
            }
        }
        _ => {}
    }
}

/// Every flavour's name and objects, where pods are.
fn platforms() -> Vec<(&'static str, Vec<Value>)> {
    let mut all: Vec<_> = PLATFORMS.iter().map(|(file, _)| (*file, objects(file))).collect();
    all.push((TEMPLATE, processed(&objects(TEMPLATE)[0])));
    all
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn find<'a>(objects: &'a [Value], kind: &str, namespace: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| {
        object["kind"] == kind && object["metadata"]["name"] == name && object["metadata"]["namespace"] == namespace
    })
}

/// Kind, namespace and name.
fn id(object: &Value) -> (String, String, String) {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    (str(&object["kind"]).to_owned(), namespace.to_owned(), str(&metadata["name"]).to_owned())
}

fn str(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The items of a list; none when it is not there.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether every label of a selector is among these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().expect("a selector has labels");
    !selector.is_empty() && selector.iter().all(|(key, value)| &labels[key] == value)
}
