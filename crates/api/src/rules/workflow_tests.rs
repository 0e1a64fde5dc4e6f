//! Rules of workflows and their runs, one test each.

use serde_json::{Value, json};

use crate::kinds::kind;
use crate::rules::cases::{accepted_spec, changed, good, problems, refused_spec};

const KIND: &str = "Workflow";

fn task() -> Value {
    json!({ "type": "Task", "function": { "type": "name", "name": "hello" }, "end": true })
}

/// A workflow whose only state is this one.
fn only(state: Value) -> Value {
    json!({ "states": { "one": state } })
}

fn with(mut state: Value, field: &str, value: Value) -> Value {
    state[field] = value;
    state
}

#[test]
fn a_task_without_a_type_of_reference_calls_by_name() {
    let state = json!({ "type": "Task", "function": { "name": "hello" }, "end": true });
    let mut object = changed(KIND, &json!({ "spec": only(state) }));
    (kind(KIND).expect("a known kind").default)(&mut object);
    assert_eq!(object["spec"]["states"]["one"]["function"]["type"], "name");
}

#[test]
fn the_first_state_exists() {
    refused_spec(KIND, json!({ "startAt": "two" }), "spec.startAt: Invalid value: \"two\": names no state");
}

#[test]
fn there_are_one_to_a_hundred_states() {
    let mut object = good(KIND);
    object["spec"]["states"] = json!({});
    assert_eq!(problems(&object, None), ["spec.states: Invalid value: \"0 entries\": must have at least 1"]);
    let many: serde_json::Map<String, Value> = (0..101).map(|n| (n.to_string(), json!({ "type": "Fail" }))).collect();
    object["spec"]["states"] = Value::Object(many);
    assert_eq!(problems(&object, None), ["spec.states: Too long: must have at most 100 entries"]);
}

#[test]
fn transitions_lead_to_states() {
    let state = json!({ "type": "Wait", "duration": "1s", "next": "gone" });
    let expected = [
        "spec.states[one].next: Invalid value: \"gone\": names no state",
        "spec.startAt: Invalid value: \"one\": no end can be reached; give a state end: true",
    ];
    assert_eq!(problems(&changed(KIND, &json!({ "spec": only(state) })), None), expected);
}

#[test]
fn every_state_is_reached() {
    let problem = "spec.states[two]: Invalid value: \"two\": cannot be reached from \"one\"";
    refused_spec(KIND, json!({ "states": { "two": { "type": "Fail" } } }), problem);
}

#[test]
fn an_end_is_reachable_and_loops_are_legal() {
    let wait = |next: &str| json!({ "type": "Wait", "duration": "1s", "next": next });
    let choice = json!({ "type": "Choice", "default": "one",
        "choices": [{ "variable": "$.n", "numericGreaterThan": "5", "next": "done" }] });
    let looping = json!({ "states": { "one": wait("two"), "two": choice, "done": { "type": "Succeed" } } });
    accepted_spec(KIND, looping);
    let problem = "spec.startAt: Invalid value: \"one\": no end can be reached; give a state end: true";
    refused_spec(KIND, json!({ "states": { "one": wait("two"), "two": wait("one") } }), problem);
}

#[test]
fn a_state_has_the_fields_of_its_type_only() {
    for (field, value, types) in [
        ("function", json!({ "type": "name", "name": "hello" }), "Task"),
        ("retry", json!({}), "Task"),
        ("choices", json!([{ "variable": "$", "isNull": true, "next": "one" }]), "Choice"),
        ("maxConcurrency", json!(2), "Parallel, Map"),
        ("itemsPath", json!("$.x"), "Map"),
        ("inputPath", json!("$.x"), "Task, Parallel, Map"),
    ] {
        let problem = format!("spec.states[one].{field}: Forbidden: belongs to {types} states only");
        refused_spec(KIND, only(json!({ "type": "Succeed", field: value })), &problem);
    }
}

#[test]
fn a_state_goes_on_or_ends() {
    let problem = "spec.states[one]: Invalid value: \"Task\": must have exactly one of next and end";
    refused_spec(KIND, only(with(task(), "next", json!("one"))), problem);
}

#[test]
fn a_task_calls_a_function_by_its_plain_name() {
    let problem = "spec.states[one].function: Required value: name the function to call";
    refused_spec(KIND, only(json!({ "type": "Task", "end": true })), problem);
    let function = json!({ "type": "name", "name": "hello", "alias": "prod" });
    let problem = "spec.states[one].function: Forbidden: must name a function only, without alias, version or weights";
    refused_spec(KIND, only(with(task(), "function", function)), problem);
}

#[test]
fn a_task_is_tried_ten_times_at_most() {
    let problem = "spec.states[one].retry.maxAttempts: Invalid value: \"11\": must be between 1 and 10";
    refused_spec(KIND, only(with(task(), "retry", json!({ "maxAttempts": 11 }))), problem);
}

#[test]
fn a_wait_has_a_duration_and_a_map_a_list() {
    let problem = "spec.states[one].duration: Required value: say how long to wait";
    refused_spec(KIND, only(json!({ "type": "Wait", "end": true })), problem);
    let branch = json!({ "startAt": "in", "states": { "in": task() } });
    let problem = "spec.states[one].itemsPath: Required value: name the list to go over";
    refused_spec(KIND, only(json!({ "type": "Map", "branches": [branch], "end": true })), problem);
}

#[test]
fn a_map_has_one_branch_and_a_parallel_some() {
    let problem = "spec.states[one].branches: Invalid value: \"0\": must have exactly one branch";
    refused_spec(KIND, only(json!({ "type": "Map", "itemsPath": "$", "end": true })), problem);
    let problem = "spec.states[one].branches: Invalid value: \"0\": must have 1 to 10 branches";
    refused_spec(KIND, only(json!({ "type": "Parallel", "end": true })), problem);
}

#[test]
fn branches_do_not_nest() {
    let inner = json!({ "type": "Parallel", "end": true });
    let branch = json!({ "startAt": "in", "states": { "in": inner } });
    let problem =
        "spec.states[one].branches[0].states[in].type: Forbidden: states of a branch may not be Parallel or Map";
    refused_spec(KIND, only(json!({ "type": "Parallel", "branches": [branch], "end": true })), problem);
}

#[test]
fn a_branch_is_a_state_machine_of_its_own() {
    let branch = json!({ "startAt": "gone", "states": { "in": task() } });
    let problem = "spec.states[one].branches[0].startAt: Invalid value: \"gone\": names no state";
    refused_spec(KIND, only(json!({ "type": "Parallel", "branches": [branch], "end": true })), problem);
}

#[test]
fn a_choice_rule_compares_once() {
    let choice =
        |rule: Value| json!({ "states": { "one": { "type": "Choice", "choices": [rule] }, "b": { "type": "Fail" } } });
    accepted_spec(KIND, choice(json!({ "and": [{ "variable": "$", "isPresent": true }], "next": "b" })));
    let problem = "spec.states[one].choices[0]: Invalid value: \"$\": must have exactly one comparator";
    refused_spec(KIND, choice(json!({ "variable": "$", "isNull": true, "stringEquals": "a", "next": "b" })), problem);
    let problem = "spec.states[one].choices[0]: Invalid value: \"b\": must be one comparison, or one of and, or, not";
    refused_spec(KIND, choice(json!({ "next": "b" })), problem);
}

#[test]
fn names_of_states_are_plain() {
    let problem = "spec.states[a b]: Invalid value: \"a b\": names of states are letters, digits, '_' and '-', 1 to 64 characters";
    let spec = json!({ "startAt": "a b", "states": { "one": null, "a b": { "type": "Fail" } } });
    refused_spec(KIND, spec, problem);
}

#[test]
fn a_run_names_a_workflow_and_never_changes() {
    refused_spec("WorkflowRun", json!({ "workflowRef": "" }), "spec.workflowRef: Required value: name it");
    let new = changed("WorkflowRun", &json!({ "spec": { "input": { "a": 2 } } }));
    let problem = "spec: Invalid value: \"w\": may not change; create a new object";
    assert_eq!(problems(&new, Some(&good("WorkflowRun"))), [problem]);
}

#[test]
fn a_runs_input_is_at_most_256_kib() {
    let problem = "spec.input: Too long: must be at most 262144 bytes, is 262152";
    refused_spec("WorkflowRun", json!({ "input": { "a": "x".repeat(262_144) } }), problem);
}
