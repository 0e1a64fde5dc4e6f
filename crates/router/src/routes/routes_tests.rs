//! The table against a naive reading of the rules, and its parts.

use std::sync::Arc;
use std::time::Duration;

use fission_api::{Function, FunctionReference, FunctionSpec, HTTPTrigger, HTTPTriggerSpec};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::Index;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::pattern::Template;
use super::planner::Planner;
use super::route::{Reach, Seniority, Shape};
use super::table::{Found, Table};
use crate::metrics::Metrics;

fn planner() -> Planner {
    Planner::new(Arc::default(), Arc::default(), Duration::from_secs(60))
}

fn function(name: &str) -> Arc<Function> {
    let mut function = Function::new(name, FunctionSpec::default());
    function.metadata.namespace = Some("ns".into());
    function.metadata.uid = Some(format!("uid-{name}"));
    Arc::new(function)
}

fn trigger(name: &str, created: i64, spec: HTTPTriggerSpec) -> Arc<HTTPTrigger> {
    let mut trigger = HTTPTrigger::new(name, spec);
    trigger.metadata.namespace = Some("ns".into());
    trigger.metadata.creation_timestamp = Some(Time(jiff::Timestamp::from_second(created).unwrap()));
    Arc::new(trigger)
}

fn spec(url: &str, methods: &[&str]) -> HTTPTriggerSpec {
    HTTPTriggerSpec {
        relative_url: url.into(),
        methods: methods.iter().map(ToString::to_string).collect(),
        functionref: FunctionReference::named("f"),
        ..HTTPTriggerSpec::default()
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "ns".into(), name: name.into() }
}

/// Name of the trigger found, or the methods there would be.
fn found(table: &Table, host: &str, path: &str, method: &Method) -> Result<String, String> {
    match table.find(host, path, method) {
        Found::Route(route, _) => Ok(route.trigger.name.clone()),
        Found::OtherMethods(methods) => Err(methods.listed()),
        Found::Nothing => Err(String::new()),
    }
}

fn table_of(triggers: &[Arc<HTTPTrigger>]) -> Table {
    let mut planner = planner();
    planner.replace_all(vec![function("f"), function("g")], triggers.to_vec());
    planner.take_table().unwrap()
}

#[test]
fn literal_paths_come_before_templates_before_prefixes() {
    let prefix = |prefix: &str| HTTPTriggerSpec { prefix: Some(prefix.into()), ..spec("", &["GET"]) };
    let table = table_of(&[
        trigger("short", 1, prefix("/a")),
        trigger("long", 2, prefix("/a/b")),
        trigger("subtree-only", 3, prefix("/only/")),
        trigger("template", 4, spec("/a/{x}", &["GET"])),
        trigger("literal", 5, spec("/a/b", &["GET"])),
        trigger("digits", 6, spec("/n/{id:[0-9]+}", &["GET"])),
    ]);
    for (path, expected) in [
        ("/a/b", Ok("literal")),
        ("/a/c", Ok("template")),
        ("/a/b/c", Ok("long")),
        ("/a/c/d", Ok("short")),
        ("/a", Ok("short")),
        ("/a/", Ok("short")),
        ("/ab", Err("")),
        ("/only", Err("")),
        ("/only/", Ok("subtree-only")),
        ("/only/x/y", Ok("subtree-only")),
        ("/n/12", Ok("digits")),
        ("/n/x", Err("")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found(&table, "", path, &Method::GET), expected, "{path}");
    }
}

#[test]
fn the_older_of_two_equal_triggers_wins_and_the_younger_takes_over_when_it_goes() {
    let mut planner = planner();
    planner.replace_all(
        vec![function("f")],
        vec![trigger("younger", 2, spec("/a", &["GET"])), trigger("older", 1, spec("/a", &["GET"]))],
    );
    let table = planner.take_table().unwrap();
    assert_eq!(found(&table, "", "/a", &Method::GET), Ok("older".into()));
    let reasons = |planner: &mut Planner| {
        let mut verdicts = planner.take_verdicts(true);
        verdicts.sort_by_key(|verdict| verdict.trigger.metadata.name.clone());
        verdicts.iter().map(|verdict| verdict.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&mut planner), ["RouteAdmitted", "RouteConflict"]);
    planner.delete_trigger(&key("older"));
    let table = planner.take_table().unwrap();
    assert_eq!(found(&table, "", "/a", &Method::GET), Ok("younger".into()));
    assert_eq!(reasons(&mut planner), ["RouteAdmitted"], "the one that took over is told");
}

#[test]
fn different_methods_of_one_path_do_not_compete() {
    let table = table_of(&[trigger("get", 1, spec("/a", &["GET"])), trigger("post", 2, spec("/a", &["POST", "PUT"]))]);
    assert_eq!(found(&table, "", "/a", &Method::POST), Ok("post".into()));
    assert_eq!(found(&table, "", "/a", &Method::DELETE), Err("GET, POST, PUT".into()));
}

#[test]
fn a_trigger_without_methods_matches_nothing() {
    let table = table_of(&[trigger("none", 1, spec("/a", &[]))]);
    assert_eq!(found(&table, "", "/a", &Method::GET), Err(String::new()));
}

#[test]
fn an_update_that_changes_only_the_status_changes_no_table() {
    let mut planner = planner();
    planner.replace_all(vec![function("f")], vec![trigger("a", 1, spec("/a", &["GET"]))]);
    assert!(planner.take_table().is_some());
    planner.take_verdicts(true);
    let mut same = HTTPTrigger::clone(&trigger("a", 1, spec("/a", &["GET"])));
    same.status = Some(fission_api::HTTPTriggerStatus { observed_generation: Some(1), conditions: Vec::new() });
    planner.apply_trigger(Arc::new(same));
    planner.apply_function(function("f"));
    assert!(planner.take_table().is_none());
    assert!(planner.take_verdicts(true).is_empty());
}

#[test]
fn templates_give_their_variables_in_order() {
    let template = Template::compile("/u/{user}/{rest:.+}", false).unwrap();
    assert_eq!(&*template.head, "/u/");
    let values: Vec<_> = template.variables("/u/ann/a/b").map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(values, ["user=ann", "rest=a/b"]);
    assert_eq!(&*Template::compile("/file-{name:[a-z]{2,3}}.txt", false).unwrap().head, "/");
}

#[test]
fn templates_that_cannot_be_used_say_why() {
    for (path, why) in [
        ("/{a", "never closed"),
        ("/a}", "without a {"),
        ("/{}", "needs a name"),
        ("/{a:}", "needs a name"),
        ("/{a}/{a}", "twice"),
        ("/{a:[}", "is wrong"),
        ("/{a:(x)}", "capturing"),
    ] {
        let error = Template::compile(path, false).unwrap_err().to_string();
        assert!(error.contains(why), "{path}: {error}");
    }
}

/// The rules read naively: every trigger that matches, sorted by precedence.
fn naive(
    triggers: &[(Arc<HTTPTrigger>, Shape)],
    live: &[bool],
    host: &str,
    path: &str,
    method: &Method,
) -> Result<String, String> {
    let mut matching = Vec::new();
    for (trigger, shape) in triggers {
        let function_lives = match trigger.spec.functionref.name.as_str() {
            "f" => live[0],
            "g" => live[1],
            _ => false,
        };
        let here = shape.host.is_empty() || shape.host == host;
        let literal = match (&shape.template, shape.reach) {
            (Some(template), _) => template.covers(path).is_some(),
            (None, Reach::Exact) => path == &*shape.path,
            (None, Reach::Subtree) => match shape.path.strip_suffix('/') {
                Some(_) => path.starts_with(&*shape.path),
                None => path == &*shape.path || path.starts_with(&format!("{}/", shape.path)),
            },
        };
        if function_lives && here && literal {
            let class = match (shape.reach, &shape.template) {
                (Reach::Exact, None) => 0,
                (Reach::Exact, Some(_)) => 1,
                (Reach::Subtree, _) => 2,
            };
            let head = shape.template.as_ref().map_or(shape.path.len(), |template| template.head.len());
            let length = if shape.reach == Reach::Subtree { shape.path.len() } else { 0 };
            let order = (
                shape.host.is_empty(),
                class,
                std::cmp::Reverse(head),
                shape.template.is_none(),
                std::cmp::Reverse(length),
                Seniority::of(trigger),
            );
            matching.push((order, trigger.metadata.name.clone().unwrap_or_default(), shape.methods));
        }
    }
    matching.sort();
    let all = matching.iter().fold(super::methods::Methods::default(), |all, (_, _, methods)| all.union(*methods));
    match matching.into_iter().find(|(_, _, methods)| methods.contains(method)) {
        Some((_, name, _)) => Ok(name),
        None => Err(all.listed()),
    }
}

impl PartialOrd for super::methods::Methods {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for super::methods::Methods {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.listed().cmp(&other.listed())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Arc<HTTPTrigger>),
    Delete(usize),
    Function(usize, bool),
}

fn paths() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "/a",
        "/a/",
        "/a/b",
        "/a/b/",
        "/a/{x}",
        "/a/{x:b|c}",
        "/{x}",
        "/{x}/b",
        "/a/b/c",
        "/a-{x}",
        "/b",
        "/a/{x}/c",
    ])
    .prop_map(str::to_owned)
}

fn steps() -> impl Strategy<Value = Step> {
    let methods = prop::sample::subsequence(vec!["GET", "POST", "PUT"], 0..=3);
    let host = prop::sample::select(vec!["", "", "h.example", "i.example"]);
    let to = prop::sample::select(vec!["f", "f", "g", "never"]);
    let apply = (0usize..8, 0i64..4, paths(), any::<bool>(), methods, host, to);
    let apply = apply.prop_map(|(number, created, path, subtree, methods, host, to)| {
        let mut wanted = spec(if subtree { "" } else { &path }, &methods);
        wanted.prefix = subtree.then(|| path.clone());
        wanted.host = host.into();
        wanted.functionref = FunctionReference::named(to);
        Step::Apply(trigger(&format!("t{number}"), created, wanted))
    });
    prop_oneof![
        6 => apply,
        2 => (0usize..8).prop_map(Step::Delete),
        1 => (0usize..2, any::<bool>()).prop_map(|(which, lives)| Step::Function(which, lives)),
    ]
}

const ASKED: [&str; 14] =
    ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/c", "/a/b/c", "/b", "/b/b", "/a-1", "/ab", "/a/d/c", "/x/y/z", "/c/b/"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_any_updates_the_table_says_what_the_rules_say(steps in prop::collection::vec(steps(), 1..40)) {
        let mut planner = Planner::new(Arc::<Index>::default(), Arc::<Metrics>::default(), Duration::from_secs(60));
        let mut triggers: std::collections::BTreeMap<String, Arc<HTTPTrigger>> = Default::default();
        let mut live = [false, false];
        let mut table = Table::default();
        for step in steps {
            match step {
                Step::Apply(trigger) => {
                    triggers.insert(trigger.metadata.name.clone().unwrap(), trigger.clone());
                    planner.apply_trigger(trigger);
                }
                Step::Delete(number) => {
                    triggers.remove(&format!("t{number}"));
                    planner.delete_trigger(&key(&format!("t{number}")));
                }
                Step::Function(which, lives) => {
                    live[which] = lives;
                    let name = ["f", "g"][which];
                    if lives { planner.apply_function(function(name)) } else { planner.delete_function(&key(name)) }
                }
            }
        }
        if let Some(next) = planner.take_table() {
            table = next;
        }
        let all: Vec<_> = triggers.into_values().map(|trigger| (trigger.clone(), Shape::of(&trigger).unwrap())).collect();
        prop_assert_eq!(table.len(), all.len());
        for host in ["", "h.example", "other.example"] {
            for path in ASKED {
                for method in [Method::GET, Method::PUT, Method::DELETE] {
                    prop_assert_eq!(
                        found(&table, host, path, &method),
                        naive(&all, &live, host, path, &method),
                        "{} {} on {:?}", method, path, host
                    );
                }
            }
        }
    }
}
