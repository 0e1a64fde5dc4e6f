//! What functions are given, and what is refused.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::*;

/// Secrets and config maps of namespace `ns`.
#[derive(Default)]
struct World {
    secrets: BTreeMap<String, Arc<Secret>>,
    config_maps: BTreeMap<String, Arc<ConfigMap>>,
}

impl World {
    fn secret(mut self, name: &str, data: &[(&str, &[u8])]) -> Self {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        self.secrets.insert(name.to_owned(), Arc::new(Secret { data: Some(data), ..Secret::default() }));
        self
    }

    fn config_map(mut self, name: &str, data: &[(&str, &str)]) -> Self {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.config_maps.insert(name.to_owned(), Arc::new(ConfigMap { data: Some(data), ..ConfigMap::default() }));
        self
    }

    fn resolve(&self, spec: Value) -> Result<Configuration, Problem> {
        let (secret, config_map) =
            (|name: &str| self.secrets.get(name).cloned(), |name: &str| self.config_maps.get(name).cloned());
        resolve(&function(spec), &Lookup { secret: &secret, config_map: &config_map })
    }

    fn refused(&self, spec: Value) -> (String, String) {
        let problem = self.resolve(spec).unwrap_err();
        (problem.to_string(), problem.hint("hello"))
    }
}

fn function(spec: Value) -> Function {
    let object = json!({"apiVersion": "fission.io/v1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "ns"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn world() -> World {
    World::default()
        .secret("db", &[("password", b"geheim"), ("user", b"me")])
        .config_map("app", &[("mode", "test"), ("level", "3")])
}

fn paths(configuration: &Configuration) -> Vec<String> {
    configuration.files.iter().map(|file| format!("{}/{}", file.root.path(), file.path)).collect()
}

#[test]
fn secrets_and_config_maps_become_files_below_their_roots() {
    let configuration = world()
        .resolve(json!({"secrets": [{"namespace": "ns", "name": "db"}],
            "configmaps": [{"namespace": "ns", "name": "app", "mountPath": "etc/app"}]}))
        .unwrap();
    assert_eq!(
        paths(&configuration),
        ["/secrets/ns/db/password", "/secrets/ns/db/user", "/configs/etc/app/level", "/configs/etc/app/mode"]
    );
    assert_eq!(configuration.files[0].content, b"geheim");
}

#[test]
fn single_variables_win_over_whole_objects_and_later_objects_over_earlier_ones() {
    let spec = json!({
        "envFrom": [{"secretRef": {"name": "db"}}, {"configMapRef": {"name": "app"}, "prefix": "APP_"}, {"configMapRef": {"name": "late"}}],
        "env": [{"name": "PLAIN", "value": "x"}, {"name": "EMPTY"}, {"name": "level", "value": "own"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "mode"}}}]
    });
    let found = world().config_map("late", &[("user", "later"), ("level", "whole")]).resolve(spec).unwrap();
    let found: Vec<(&str, &str)> = found.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("APP_level", "3"),
        ("APP_mode", "test"),
        ("EMPTY", ""),
        ("MODE", "test"),
        ("PASSWORD", "geheim"),
        ("PLAIN", "x"),
        ("level", "own"),
        ("password", "geheim"),
        ("user", "later"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_missing_is_named_with_how_to_make_it() {
    for (spec, what, make) in [
        (
            json!({"secrets": [{"namespace": "ns", "name": "gone"}]}),
            "secret ns/gone",
            "kubectl create secret generic gone",
        ),
        (
            json!({"configmaps": [{"namespace": "ns", "name": "gone"}]}),
            "config map ns/gone",
            "kubectl create configmap gone",
        ),
        (json!({"envFrom": [{"secretRef": {"name": "gone"}}]}), "secret ns/gone", "--namespace ns"),
        (
            json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a"}}}]}),
            "config map ns/gone",
            "kubectl apply",
        ),
    ] {
        let (said, hint) = world().refused(spec);
        assert_eq!(said, format!("{what} does not exist"));
        assert!(hint.contains(make), "{hint}");
    }
}

#[test]
fn a_missing_key_is_refused_with_the_keys_there_are() {
    let spec = json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "nothere"}}}]});
    let (said, _) = world().refused(spec);
    assert!(said.contains("\"nothere\" of secret ns/db") && said.contains("password, user"), "{said}");
    assert!(!said.contains("geheim"));
}

#[test]
fn what_is_optional_may_be_missing() {
    let spec = json!({
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "a", "optional": true}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "gone", "optional": true}}}],
        "envFrom": [{"configMapRef": {"name": "gone", "optional": true}}]
    });
    assert!(required(&function(spec.clone())).is_empty());
    assert!(refers_to(&function(spec.clone()), &Source::secret("gone")));
    assert_eq!(world().resolve(spec).unwrap(), Configuration::default());
}

#[test]
fn two_references_to_the_same_file_are_refused() {
    let world = world().secret("other", &[("password", b"x")]).secret("deep", &[("leaf", b"x")]);
    for (other, path) in [("other", "shared"), ("deep", "shared/password")] {
        let spec = json!({"secrets": [{"namespace": "ns", "name": "db", "mountPath": "shared"},
            {"namespace": "ns", "name": other, "mountPath": path}]});
        let (said, hint) = world.refused(spec);
        assert!(said.contains("/secrets/shared/password"), "{said}");
        assert!(said.contains("secret ns/db") && said.contains(&format!("secret ns/{other}")), "{said}");
        assert!(hint.contains("mountPath"), "{hint}");
    }
}

#[test]
fn no_path_leads_out_of_its_root() {
    for (mount, key) in [("../up", "a"), ("a/../../b", "a"), ("/abs", "a"), ("a//b", "a"), ("ok", ".."), ("ok", "a/b")]
    {
        let world = World::default().secret("s", &[(key, b"x")]);
        let problem =
            world.resolve(json!({"secrets": [{"namespace": "ns", "name": "s", "mountPath": mount}]})).unwrap_err();
        assert!(matches!(problem, Problem::Path { .. }), "{mount} {key}: {problem}");
    }
}

#[test]
fn what_cannot_be_a_variable_is_refused_without_its_value() {
    let world =
        World::default().secret("bytes", &[("key", b"\xff\x00geheim")]).secret("zero", &[("key", b"a\0geheim")]);
    let world = world.secret("loader", &[("LD_PRELOAD", b"geheim")]);
    for (name, why) in [("bytes", "not text"), ("zero", "not text"), ("loader", "reserved for the platform")] {
        let (said, hint) = world.refused(json!({"envFrom": [{"secretRef": {"name": name}}]}));
        assert!(said.contains(why) && said.contains(&format!("secret ns/{name}")), "{said}");
        assert!(!said.contains("geheim") && hint.contains("--secret"), "{said} {hint}");
    }
}

#[test]
fn sizes_are_bounded_and_the_limit_is_named() {
    let large = "x".repeat(MAX_VARIABLE_BYTES);
    let (said, _) = world().refused(json!({"env": [{"name": "A", "value": large}]}));
    assert!(said.contains("variable A") && said.contains(&MAX_VARIABLE_BYTES.to_string()), "{said}");
    let part = "x".repeat(100_000);
    let env: Vec<Value> = (0..11).map(|n| json!({"name": format!("V{n}"), "value": part})).collect();
    let (said, _) = world().refused(json!({ "env": env }));
    assert!(said.contains(&MAX_ENV_BYTES.to_string()), "{said}");
    let files = World::default().secret("big", &[("a", &vec![0; MAX_FILE_BYTES]), ("b", b"x")]);
    let (said, _) = files.refused(json!({"secrets": [{"namespace": "ns", "name": "big"}]}));
    assert!(said.contains(&MAX_FILE_BYTES.to_string()) && said.contains(&(MAX_FILE_BYTES + 1).to_string()), "{said}");
}

#[test]
fn a_configuration_is_never_printed_and_is_told_apart_by_its_values() {
    let spec = json!({"secrets": [{"namespace": "ns", "name": "db"}], "envFrom": [{"secretRef": {"name": "db"}}]});
    let one = world().resolve(spec.clone()).unwrap();
    let printed = format!("{one:?}");
    assert!(printed.contains("password") && !printed.contains("geheim"), "{printed}");
    assert_eq!(one.fingerprint(), world().resolve(spec.clone()).unwrap().fingerprint());
    let other = world().secret("db", &[("password", b"other"), ("user", b"me")]).resolve(spec).unwrap();
    assert_ne!(one.fingerprint(), other.fingerprint());
}
