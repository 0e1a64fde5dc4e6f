//! Every kind on the wire: nothing known is lost, nulls are accepted, always-sent keys are sent.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, json};

use super::*;
use crate::rules::cases::{changed, good, problems};

/// Objects tried per kind.
const TRIES: u32 = 64;

fn arbitrary(schema: &Value) -> BoxedStrategy<Value> {
    let value = if let Some(allowed) = schema["enum"].as_array() {
        proptest::sample::select(allowed.clone()).boxed()
    } else {
        match schema["type"].as_str() {
            Some("object") => arbitrary_object(schema),
            Some("array") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
                let items = vec(arbitrary(&schema["items"]), 0..3);
                items.prop_map(move |items| distinct(items, &keys)).boxed()
            }
            Some("string") => arbitrary_text(schema),
            Some("boolean") => any::<bool>().prop_map(Value::Bool).boxed(),
            Some("integer") => {
                let most = schema["maximum"].as_f64().map_or(1_000_000, |most| most as i64);
                (schema["minimum"].as_f64().map_or(-5, |least| least as i64)..=most).prop_map(Value::from).boxed()
            }
            _ if schema["x-kubernetes-int-or-string"] == true => {
                prop_oneof![(0i64..100).prop_map(Value::from), "[0-9]{1,3}m".prop_map(Value::from)].boxed()
            }
            _ => prop_oneof![Just(json!({ "a": { "b": null } })), Just(json!([1, "x"])), Just(json!(7))].boxed(),
        }
    };
    if schema["nullable"] == true { prop_oneof![4 => value, 1 => Just(Value::Null)].boxed() } else { value }
}

/// A list of at most two without equal entries, or entries of equal keys, as lists that are sets or maps need it.
fn distinct(mut items: Vec<Value>, keys: &[Value]) -> Value {
    let key = |item: &Value| keys.iter().filter_map(Value::as_str).map(|key| item[key].clone()).collect::<Vec<_>>();
    items.dedup_by(|left, right| left == right || (!keys.is_empty() && key(left) == key(right)));
    Value::Array(items)
}

fn arbitrary_text(schema: &Value) -> BoxedStrategy<Value> {
    let pattern = match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("byte"), _) => "([A-Za-z0-9+/]{4}){0,4}",
        (Some("date-time"), _) => "20[0-9]{2}-0[1-9]-1[0-9]T0[0-9]:[0-5][0-9]:[0-5][0-9]Z",
        (_, Some(pattern)) => pattern,
        _ => "[a-zA-Z0-9é \"/-]{1,8}",
    };
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    string_regex(pattern).expect("a pattern proptest understands").prop_map(Value::from).boxed()
}

fn arbitrary_object(schema: &Value) -> BoxedStrategy<Value> {
    if schema["additionalProperties"].is_object() {
        let entries = btree_map("[a-z]{1,4}", arbitrary(&schema["additionalProperties"]), 1..3);
        return entries.prop_map(|entries| Value::Object(entries.into_iter().collect())).boxed();
    }
    let Some(properties) = schema["properties"].as_object() else {
        let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
        return Just(if free { json!({ "free": { "x": [1, null] } }) } else { json!({}) }).boxed();
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut fields = Just(Map::new()).boxed();
    for (name, child) in properties {
        let name = name.clone();
        let there =
            if required.contains(&json!(name)) { Just(true).boxed() } else { proptest::bool::weighted(0.4).boxed() };
        let field = (there, arbitrary(child));
        fields = (fields, field)
            .prop_map(move |(mut fields, (there, value))| {
                if there {
                    fields.insert(name.clone(), value);
                }
                fields
            })
            .boxed();
    }
    fields.prop_map(Value::Object).boxed()
}

fn object_of(info: &'static KindInfo) -> BoxedStrategy<Value> {
    arbitrary(info.schema())
        .prop_map(|mut object| {
            object["apiVersion"] = json!("fission.io/v1");
            object["kind"] = json!(info.kind);
            object["metadata"] = json!({ "name": "x", "namespace": "here", "labels": { "a": "b" } });
            object
        })
        .boxed()
}

/// Whether a value is one that may be left out: Go's zero value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// The first path at which `written` lacks something of `read`.
fn lost(read: &Value, written: Option<&Value>, path: &str) -> Option<String> {
    match (read, written) {
        (read, None | Some(Value::Null)) => (!is_empty(read)).then(|| format!("{path} is gone")),
        (Value::Object(read), Some(Value::Object(written))) => {
            read.iter().find_map(|(name, value)| lost(value, written.get(name), &format!("{path}.{name}")))
        }
        (Value::Array(read), Some(Value::Array(written))) if read.len() == written.len() => {
            read.iter().zip(written).find_map(|(read, written)| lost(read, Some(written), &format!("{path}[]")))
        }
        // Quantities are numbers or text; both mean the same.
        (Value::Number(read), Some(Value::String(written))) if read.to_string() == *written => None,
        (Value::Null, Some(written)) if is_empty(written) => None,
        (read, Some(written)) => (read != written).then(|| format!("{path}: {read} became {written}")),
    }
}

fn keeps_everything<K: Serialize + DeserializeOwned>(name: &str) {
    let info = kind(name).expect("a known kind");
    let mut runner = TestRunner::new(Config { cases: TRIES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&object_of(info), |object| {
        prop_assert_eq!(crate::structural::check(&object, info.schema()), vec![], "{}", object);
        let typed: K = serde_json::from_value(object.clone())
            .map_err(|error| TestCaseError::fail(format!("{error}: {object}")))?;
        let written = serde_json::to_value(&typed).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(lost(&object, Some(&written), ""), None);
        prop_assert_eq!(prune(&mut written.clone(), info.schema()), Vec::<String>::new());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

macro_rules! round_trips {
    ($($test:ident: $kind:ident),+ $(,)?) => {
        $(#[test]
        fn $test() {
            keeps_everything::<crate::$kind>(stringify!($kind));
        })+
    };
}

round_trips! {
    functions_keep_every_field: Function,
    environments_keep_every_field: Environment,
    packages_keep_every_field: Package,
    routes_keep_every_field: HTTPTrigger,
    timers_keep_every_field: TimeTrigger,
    watches_keep_every_field: KubernetesWatchTrigger,
    queue_bindings_keep_every_field: MessageQueueTrigger,
    canaries_keep_every_field: CanaryConfig,
    versions_keep_every_field: FunctionVersion,
    aliases_keep_every_field: FunctionAlias,
    workflows_keep_every_field: Workflow,
    runs_keep_every_field: WorkflowRun,
    tenants_keep_every_field: FissionTenant,
}

#[test]
fn the_good_object_of_every_kind_is_good() {
    for info in KINDS {
        assert_eq!(problems(&good(info.kind), None), [""; 0], "{}", info.kind);
    }
}

#[test]
fn kinds_are_found_by_kind_and_by_plural() {
    for info in KINDS {
        assert_eq!(kind(info.kind).map(|found| found.plural), Some(info.plural));
        assert_eq!(by_plural(info.plural).map(|found| found.kind), Some(info.kind));
    }
    assert!(kind("Pod").is_none() && by_plural("pods").is_none());
}

fn written<K: Serialize + DeserializeOwned>(object: Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(object).expect("parses")).expect("serializes")
}

#[test]
fn keys_go_clients_always_send_are_always_sent() {
    let nothing = json!({ "metadata": {}, "spec": { "functionref": { "type": "name" }, "version": 3, "topic": "t",
        "runtime": { "image": "" }, "cron": "", "namespace": "", "type": "", "trigger": "", "newfunction": "",
        "oldfunction": "" } });
    let cases = [
        (
            written::<crate::Function>(nothing.clone()),
            vec![
                "/environment/namespace",
                "/package/packageref/namespace",
                "/resources",
                "/secrets",
                "/configmaps",
                "/InvokeStrategy/StrategyType",
                "/InvokeStrategy/ExecutionStrategy/ExecutorType",
                "/InvokeStrategy/ExecutionStrategy/MinScale",
                "/InvokeStrategy/ExecutionStrategy/MaxScale",
                "/InvokeStrategy/ExecutionStrategy/TargetCPUPercent",
                "/InvokeStrategy/ExecutionStrategy/SpecializationTimeout",
            ],
        ),
        (
            written::<crate::Environment>(nothing.clone()),
            vec!["/version", "/runtime/image", "/builder", "/resources", "/keeparchive", "/imagepullsecret"],
        ),
        (written::<crate::Package>(nothing.clone()), vec!["/environment/namespace"]),
        (
            written::<crate::HTTPTrigger>(nothing.clone()),
            vec![
                "/host",
                "/relativeurl",
                "/method",
                "/functionref/type",
                "/functionref/name",
                "/functionref/functionweights",
                "/createingress",
                "/ingressconfig/annotations",
                "/ingressconfig/path",
                "/ingressconfig/host",
                "/ingressconfig/tls",
            ],
        ),
        (written::<crate::TimeTrigger>(nothing.clone()), vec!["/cron", "/functionref"]),
        (
            written::<crate::KubernetesWatchTrigger>(nothing.clone()),
            vec!["/namespace", "/type", "/labelselector", "/functionref"],
        ),
        (
            written::<crate::MessageQueueTrigger>(nothing.clone()),
            vec![
                "/functionref",
                "/messageQueueType",
                "/topic",
                "/errorTopic",
                "/maxRetries",
                "/contentType",
                "/metadata",
            ],
        ),
        (
            written::<crate::CanaryConfig>(nothing),
            vec![
                "/trigger",
                "/newfunction",
                "/oldfunction",
                "/weightincrement",
                "/duration",
                "/failurethreshold",
                "/failureType",
            ],
        ),
    ];
    for (object, keys) in cases {
        for key in keys {
            assert!(object["spec"].pointer(key).is_some(), "{} lacks {key}", object["kind"]);
        }
    }
}

#[test]
fn absent_and_zero_stay_apart() {
    let environment = |grace: Value| {
        let mut object = changed("Environment", &json!({ "spec": { "terminationGracePeriod": grace } }));
        (kind("Environment").expect("a known kind").default)(&mut object);
        written::<crate::Environment>(object)["spec"]["terminationGracePeriod"].clone()
    };
    assert_eq!((environment(Value::Null), environment(json!(0))), (json!(90), json!(0)));
    let idle = |idle: Value| {
        let mut object = good("Function");
        object["spec"]["idletimeout"] = idle;
        serde_json::from_value::<crate::Function>(object).expect("parses").spec.idle_timeout
    };
    assert_eq!((idle(Value::Null), idle(json!(0)), idle(json!(7))), (None, Some(0), Some(7)));
}

#[test]
fn defaults_of_the_contract_are_written() {
    let mut timer = good("TimeTrigger");
    (kind("TimeTrigger").expect("a known kind").default)(&mut timer);
    assert_eq!((&timer["spec"]["method"], &timer["spec"]["subpath"]), (&json!("POST"), &json!("/")));
    let mut package = good("Package");
    package["status"] = json!({});
    (kind("Package").expect("a known kind").default)(&mut package);
    assert_eq!(package["status"]["buildstatus"], "pending");
}

#[test]
fn historic_keys_are_tolerated_and_dropped() {
    let mut old = good("Environment");
    old["metadata"]["creationTimestamp"] = Value::Null;
    old["status"] = json!({});
    old["spec"]["documentationurl"] = json!("x");
    old["spec"]["runtime"]["loadendpointport"] = json!(8888);
    assert_eq!(problems(&old, None), [""; 0]);
    let dropped = prune(&mut old, kind("Environment").expect("a known kind").schema());
    assert_eq!(dropped, ["spec.documentationurl", "spec.runtime.loadendpointport"]);
}

#[test]
fn maps_and_lists_may_be_null() {
    let mut function = good("Function");
    for field in ["secrets", "configmaps", "env", "envFrom", "idletimeout", "podspec"] {
        function["spec"][field] = Value::Null;
    }
    assert_eq!(problems(&function, None), [""; 0]);
    let route = json!({ "spec": { "ingressconfig": { "path": "/hello", "host": "*", "tls": "" } } });
    let mut route = changed("HTTPTrigger", &route);
    route["spec"]["ingressconfig"]["annotations"] = Value::Null;
    route["spec"]["methods"] = Value::Null;
    assert_eq!(problems(&route, None), [""; 0]);
    assert!(serde_json::from_value::<crate::HTTPTrigger>(route).is_ok());
}

#[test]
fn the_published_examples_are_good_and_keep_their_values() {
    let examples = include_str!("examples.json");
    let examples: Vec<Value> = serde_json::from_str(examples).expect("the examples are JSON");
    let mut seen = Vec::new();
    for example in examples {
        assert_eq!(problems(&example, None), [""; 0], "{example}");
        let name = example["kind"].as_str().unwrap_or_default().to_owned();
        let again = match name.as_str() {
            "Function" => written::<crate::Function>(example.clone()),
            "Environment" => written::<crate::Environment>(example.clone()),
            "Package" => written::<crate::Package>(example.clone()),
            "HTTPTrigger" => written::<crate::HTTPTrigger>(example.clone()),
            "TimeTrigger" => written::<crate::TimeTrigger>(example.clone()),
            "MessageQueueTrigger" => written::<crate::MessageQueueTrigger>(example.clone()),
            "KubernetesWatchTrigger" => written::<crate::KubernetesWatchTrigger>(example.clone()),
            "Workflow" => written::<crate::Workflow>(example.clone()),
            _ => written::<crate::FunctionAlias>(example.clone()),
        };
        assert_eq!(lost(&example, Some(&again), ""), None, "{name}");
        seen.push(name);
    }
    assert_eq!(seen.len(), 11);
}

/// Replaces the value that `choices` lead to by `odd`.
fn damage(value: &mut Value, choices: &[usize], odd: &Value) {
    let Some((choice, rest)) = choices.split_first() else {
        *value = odd.clone();
        return;
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let at = choice % fields.len();
            if let Some(child) = fields.values_mut().nth(at) {
                damage(child, rest, odd);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = choice % items.len();
            damage(&mut items[at], rest, odd);
        }
        other => *other = odd.clone(),
    }
}

#[test]
fn no_object_however_damaged_makes_a_kind_panic() {
    let odd = vec![
        json!(null),
        json!([[]]),
        json!({ "": {} }),
        json!("\u{0}é{"),
        json!(-1),
        json!(1e300),
        json!(true),
        json!([1, 1]),
    ];
    for info in KINDS {
        let damaged = (object_of(info), vec(any::<usize>(), 0..9), proptest::sample::select(odd.clone()));
        let mut runner = TestRunner::new(Config { cases: TRIES, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&damaged, |(whole, choices, odd)| {
            let mut object = whole.clone();
            damage(&mut object, &choices, &odd);
            let (_, _) = ((info.validate)(&object, Some(&whole)), (info.validate)(&whole, Some(&object)));
            prune(&mut object, info.schema());
            (info.default)(&mut object);
            let _ = (info.validate)(&object, None);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", info.kind));
    }
}
