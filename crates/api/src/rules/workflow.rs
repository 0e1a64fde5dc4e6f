//! Rules of `Workflow` and `WorkflowRun`: which fields a state may have. How states hang together is in `workflow_graph`.

use serde_json::{Value, json};

use super::function_blocks::check_retry;
use super::names::check_label;
use super::workflow_graph::{Machine, check_graph};
use super::{NameRule, Rules, Targets, check_duration, check_function_reference};
use crate::field_error::Found;
use crate::workflow::{Branch, ChoiceRule, Comparison, MAX_BRANCHES, NoBranch, State};
use crate::workflow_run::MAX_INPUT_BYTES;
use crate::{Workflow, WorkflowRun};

/// Most attempts at a task.
const MAX_TASK_ATTEMPTS: i64 = 10;
/// Longest name of a state.
const MAX_STATE_NAME: usize = 64;

impl Rules for Workflow {
    const KIND: &'static str = "Workflow";
    const NAME: NameRule = NameRule::Label;

    /// Tasks call functions by name; the type may be left out.
    fn fill(object: &mut Value) {
        let Some(states) = object.pointer_mut("/spec/states").and_then(Value::as_object_mut) else { return };
        for state in states.values_mut() {
            fill_function_type(state);
            let branches = state.get_mut("branches").and_then(Value::as_array_mut);
            for branch in branches.into_iter().flatten() {
                let states = branch.get_mut("states").and_then(Value::as_object_mut);
                states.into_iter().flat_map(serde_json::Map::values_mut).for_each(fill_function_type);
            }
        }
    }

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        if let Some(retry) = &spec.default_retry {
            check_retry("spec.defaultRetry", retry, MAX_TASK_ATTEMPTS, found);
        }
        check_duration("spec.timeout", &spec.timeout, found);
        if let Some(retention) = &spec.history_retention {
            if retention.max_count.is_some_and(|count| count < 0) {
                found.invalid(
                    "spec.historyRetention.maxCount",
                    retention.max_count.unwrap_or_default(),
                    "may not be negative",
                );
            }
            check_duration("spec.historyRetention.maxAge", &retention.max_age, found);
        }
        for (name, state) in &spec.states {
            let path = format!("spec.states[{name}]");
            check_state(&path, name, state, found);
            check_branches(&path, state, found);
        }
        check_graph("spec", &Machine::of(&spec.start_at, &spec.states), found);
    }
}

impl Rules for WorkflowRun {
    const KIND: &'static str = "WorkflowRun";

    fn check(&self, old: Option<&Self>, found: &mut Found) {
        if old.is_some_and(|old| old.spec != self.spec) {
            return found.immutable("spec", &self.spec.workflow_ref);
        }
        check_label("spec.workflowRef", &self.spec.workflow_ref, found);
        let length = self.spec.input.as_ref().map_or(0, |input| input.0.to_string().len());
        if length > MAX_INPUT_BYTES {
            found.too_long("spec.input", format!("must be at most {MAX_INPUT_BYTES} bytes, is {length}"));
        }
    }
}

fn fill_function_type(state: &mut Value) {
    if let Some(function) = state.get_mut("function").and_then(Value::as_object_mut) {
        let kind = function.entry("type").or_insert_with(|| json!("name"));
        if kind == "" {
            *kind = json!("name");
        }
    }
}

/// Every field but `type`, whether it is set, and the types of states it is legal in.
fn fields<B>(state: &State<B>) -> [(&'static str, bool, &'static [&'static str]); 15] {
    const TASK: &[&str] = &["Task"];
    const WORK: &[&str] = &["Task", "Parallel", "Map"];
    const FAN: &[&str] = &["Parallel", "Map"];
    const ON: &[&str] = &["Task", "Parallel", "Map", "Wait"];
    [
        ("function", state.function.is_some(), TASK),
        ("timeout", !state.timeout.is_empty(), TASK),
        ("retry", state.retry.is_some(), TASK),
        ("catch", !state.catch.is_empty(), WORK),
        ("inputPath", !state.input_path.is_empty(), WORK),
        ("resultPath", !state.result_path.is_empty(), WORK),
        ("outputPath", !state.output_path.is_empty(), WORK),
        ("choices", !state.choices.is_empty(), &["Choice"]),
        ("default", !state.default.is_empty(), &["Choice"]),
        ("branches", !state.branches.is_empty(), FAN),
        ("maxConcurrency", state.max_concurrency != 0, FAN),
        ("itemsPath", !state.items_path.is_empty(), &["Map"]),
        ("duration", !state.duration.is_empty(), &["Wait"]),
        ("next", !state.next.is_empty(), ON),
        ("end", state.end, ON),
    ]
}

fn check_state<B>(path: &str, name: &str, state: &State<B>, found: &mut Found) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > MAX_STATE_NAME || !name.chars().all(legal) {
        let detail = format!("names of states are letters, digits, '_' and '-', 1 to {MAX_STATE_NAME} characters");
        found.invalid(path, name, detail);
    }
    for (field, set, types) in fields(state) {
        if set && !types.contains(&state.kind.as_str()) {
            found.forbidden(format!("{path}.{field}"), format!("belongs to {} states only", types.join(", ")));
        }
    }
    if matches!(state.kind.as_str(), "Task" | "Parallel" | "Map" | "Wait") && state.next.is_empty() != state.end {
        found.invalid(path, &state.kind, "must have exactly one of next and end");
    }
    match state.kind.as_str() {
        "Task" => check_task(path, state, found),
        "Choice" if state.choices.is_empty() => found.required(format!("{path}.choices"), "give at least one rule"),
        "Map" if state.items_path.is_empty() => found.required(format!("{path}.itemsPath"), "name the list to go over"),
        "Wait" if state.duration.is_empty() => found.required(format!("{path}.duration"), "say how long to wait"),
        _ => {}
    }
    check_duration(&format!("{path}.duration"), &state.duration, found);
    for (index, rule) in state.choices.iter().enumerate() {
        check_choice(&format!("{path}.choices[{index}]"), rule, found);
    }
}

fn check_task<B>(path: &str, state: &State<B>, found: &mut Found) {
    match &state.function {
        Some(function) => check_function_reference(&format!("{path}.function"), function, Targets::Plain, found),
        None => found.required(format!("{path}.function"), "name the function to call"),
    }
    check_duration(&format!("{path}.timeout"), &state.timeout, found);
    if let Some(retry) = &state.retry {
        check_retry(&format!("{path}.retry"), retry, MAX_TASK_ATTEMPTS, found);
    }
}

fn check_branches(path: &str, state: &State<Branch>, found: &mut Found) {
    let count = state.branches.len();
    match state.kind.as_str() {
        "Parallel" if !(1..=MAX_BRANCHES).contains(&count) => {
            found.invalid(format!("{path}.branches"), count, format!("must have 1 to {MAX_BRANCHES} branches"));
        }
        "Map" if count != 1 => found.invalid(format!("{path}.branches"), count, "must have exactly one branch"),
        _ => {}
    }
    for (index, branch) in state.branches.iter().enumerate() {
        let path = format!("{path}.branches[{index}]");
        for (name, inner) in &branch.states {
            check_branch_state(&format!("{path}.states[{name}]"), name, inner, found);
        }
        check_graph(&path, &Machine::of(&branch.start_at, &branch.states), found);
    }
}

fn check_branch_state(path: &str, name: &str, state: &State<NoBranch>, found: &mut Found) {
    if matches!(state.kind.as_str(), "Parallel" | "Map") {
        found.forbidden(format!("{path}.type"), "states of a branch may not be Parallel or Map");
        return;
    }
    check_state(path, name, state, found);
}

fn check_choice(path: &str, rule: &ChoiceRule, found: &mut Found) {
    let simple = rule.comparison != Comparison::default();
    let shapes = [simple, !rule.and.is_empty(), !rule.or.is_empty(), rule.not.is_some()];
    if shapes.into_iter().filter(|set| *set).count() != 1 {
        found.invalid(path, &rule.next, "must be one comparison, or one of and, or, not");
    }
    if rule.next.is_empty() {
        found.required(format!("{path}.next"), "name the state to go to");
    }
    if simple {
        check_comparison(path, &rule.comparison, found);
    }
    for (name, list) in [("and", &rule.and), ("or", &rule.or)] {
        for (index, comparison) in list.iter().enumerate() {
            check_comparison(&format!("{path}.{name}[{index}]"), comparison, found);
        }
    }
    if let Some(comparison) = &rule.not {
        check_comparison(&format!("{path}.not"), comparison, found);
    }
}

fn check_comparison(path: &str, comparison: &Comparison, found: &mut Found) {
    if comparison.variable.is_empty() {
        found.required(format!("{path}.variable"), "name the value to compare");
    }
    let comparators = [
        comparison.string_equals.is_some(),
        comparison.numeric_equals.is_some(),
        comparison.numeric_greater_than.is_some(),
        comparison.numeric_less_than.is_some(),
        comparison.boolean_equals.is_some(),
        comparison.is_present.is_some(),
        comparison.is_null.is_some(),
    ];
    if comparators.into_iter().filter(|set| *set).count() != 1 {
        found.invalid(path, &comparison.variable, "must have exactly one comparator");
    }
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
