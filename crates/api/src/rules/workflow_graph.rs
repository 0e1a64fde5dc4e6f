//! How the states of a workflow hang together: every transition leads somewhere, every state is reached, and the end
//! can be reached. Loops are legal.

use std::collections::{BTreeMap, BTreeSet};

use crate::field_error::Found;
use crate::workflow::State;

/// One state machine as a graph: each state with the states it may lead to and whether it ends the machine.
pub(super) struct Machine<'a> {
    start: &'a str,
    states: BTreeMap<&'a str, Node<'a>>,
}

struct Node<'a> {
    /// The field of the transition, and the state it names.
    leads_to: Vec<(String, &'a str)>,
    ends: bool,
}

impl<'a> Machine<'a> {
    /// The graph of these states.
    pub(super) fn of<B>(start: &'a str, states: &'a BTreeMap<String, State<B>>) -> Self {
        let states = states.iter().map(|(name, state)| (name.as_str(), Node::of(state))).collect();
        Self { start, states }
    }
}

impl<'a> Node<'a> {
    fn of<B>(state: &'a State<B>) -> Self {
        let mut leads_to =
            vec![("next".to_owned(), state.next.as_str()), ("default".to_owned(), state.default.as_str())];
        leads_to.extend(
            state.catch.iter().enumerate().map(|(at, catch)| (format!("catch[{at}].next"), catch.next.as_str())),
        );
        leads_to.extend(
            state.choices.iter().enumerate().map(|(at, rule)| (format!("choices[{at}].next"), rule.next.as_str())),
        );
        leads_to.retain(|(_, target)| !target.is_empty());
        Self { leads_to, ends: state.end || matches!(state.kind.as_str(), "Succeed" | "Fail") }
    }
}

/// Checks transitions and reachability of the machine at `path`.
pub(super) fn check_graph(path: &str, machine: &Machine<'_>, found: &mut Found) {
    if machine.start.is_empty() {
        return found.required(format!("{path}.startAt"), "name the first state");
    }
    if !machine.states.contains_key(machine.start) {
        return found.invalid(format!("{path}.startAt"), machine.start, "names no state");
    }
    for (name, node) in &machine.states {
        for (field, target) in &node.leads_to {
            if !machine.states.contains_key(target) {
                found.invalid(format!("{path}.states[{name}].{field}"), target, "names no state");
            }
        }
    }
    let reached = reach(machine);
    for name in machine.states.keys().filter(|name| !reached.contains(*name)) {
        found.invalid(format!("{path}.states[{name}]"), name, format!("cannot be reached from {:?}", machine.start));
    }
    if !reached.iter().any(|name| machine.states.get(name).is_some_and(|node| node.ends)) {
        found.invalid(format!("{path}.startAt"), machine.start, "no end can be reached; give a state end: true");
    }
}

fn reach<'a>(machine: &Machine<'a>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![machine.start];
    while let Some(name) = waiting.pop() {
        if let Some(node) = machine.states.get(name)
            && reached.insert(name)
        {
            waiting.extend(node.leads_to.iter().map(|(_, target)| *target));
        }
    }
    reached
}
