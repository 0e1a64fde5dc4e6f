//! What is to be done so that the objects of one kind are those that triggers ask for. Only decisions: what is there comes
//! in, what to write comes out.

use std::collections::{BTreeMap, BTreeSet};

use fission_rpc::cache::ObjectKey;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Map, Value};

use super::told::Verdict;
use super::wanted::{Kind, TRIGGER_NAME, TRIGGER_NAMESPACE, Wanted};
use crate::names;
use crate::services::MANAGED_BY;

/// Annotation: the annotations that are the trigger's, so that one it no longer has is taken away again. Those that
/// controllers add stay.
const GIVEN: &str = "fission.io/annotations";

/// Namespace and label of a trigger, as they are on what was made for it.
pub(super) type Owner = (String, String);

/// One thing to do, or to know.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// It is as it should be.
    Keep { trigger: ObjectKey, name: String },
    /// There is none yet.
    Create { trigger: ObjectKey, object: Box<DynamicObject> },
    /// It is another than it should be.
    Replace { trigger: ObjectKey, object: Box<DynamicObject> },
    /// It cannot be made now.
    Wait { trigger: ObjectKey, verdict: Verdict },
    /// No trigger asks for it. Whether there is one at all is the caller's to know.
    Delete { owner: Owner, object: Box<DynamicObject> },
}

/// What to do. `there` is everything of that kind in the platform's namespace, also what others made: their names are
/// taken, and nothing of theirs is ever changed.
pub(super) fn plan(kind: Kind, namespace: &str, wanted: &[&Wanted], there: &[DynamicObject]) -> Vec<Step> {
    let mut taken: BTreeSet<String> = there.iter().map(ResourceExt::name_any).collect();
    let mut ours: BTreeMap<Owner, Vec<&DynamicObject>> = BTreeMap::new();
    for object in there {
        if let Some(owner) = owner(object) {
            ours.entry(owner).or_default().push(object);
        }
    }
    let mut wanted: Vec<&Wanted> = wanted.to_vec();
    // The oldest first: where two triggers have one name, it is theirs who were there before.
    wanted.sort_by(|a, b| (a.since, &a.trigger).cmp(&(b.since, &b.trigger)));
    let mut steps = Vec::new();
    for wanted in wanted {
        let owner = (wanted.trigger.namespace.clone(), names::label_value(&wanted.trigger.name));
        let mut made = ours.remove(&owner).unwrap_or_default();
        // Whatever made a second one: the one with the plain name stays.
        made.sort_by_key(|object| (object.name_any() != wanted.trigger.name, object.name_any()));
        let mut made = made.into_iter();
        steps.push(match made.next() {
            Some(object) => present(object, wanted),
            None => absent(kind, namespace, wanted, &mut taken),
        });
        steps.extend(made.map(|object| Step::Delete { owner: owner.clone(), object: Box::new(object.clone()) }));
    }
    for (owner, objects) in ours {
        let going = objects.into_iter().filter(|object| object.metadata.deletion_timestamp.is_none());
        steps.extend(going.map(|object| Step::Delete { owner: owner.clone(), object: Box::new(object.clone()) }));
    }
    steps
}

fn present(object: &DynamicObject, wanted: &Wanted) -> Step {
    let trigger = wanted.trigger.clone();
    let name = object.name_any();
    if object.metadata.deletion_timestamp.is_some() {
        let message = format!(
            "{} {name} of this trigger is being deleted, and another is made as soon as it is gone; if it stays, see its \
             finalizers",
            wanted.kind.word()
        );
        return Step::Wait { trigger, verdict: Verdict::not("BeingDeleted", message) };
    }
    match corrected(object, wanted) {
        Some(object) => Step::Replace { trigger, object: Box::new(object) },
        None => Step::Keep { trigger, name },
    }
}

fn absent(kind: Kind, namespace: &str, wanted: &Wanted, taken: &mut BTreeSet<String>) -> Step {
    let trigger = wanted.trigger.clone();
    let names = [trigger.name.clone(), names::exposed_apart(&trigger.namespace, &trigger.name)];
    let Some(name) = names.iter().find(|name| !taken.contains(*name)) else {
        let message = format!(
            "{} {} and {} of namespace {namespace} are somebody else's; delete one of them, or give the trigger another name",
            kind.word(),
            names[0],
            names[1]
        );
        return Step::Wait { trigger, verdict: Verdict::not("NameTaken", message) };
    };
    taken.insert(name.clone());
    let empty = DynamicObject::new(name, &kind.resource()).within(namespace).data(Value::Object(Map::new()));
    let object = corrected(&empty, wanted).unwrap_or(empty);
    Step::Create { trigger, object: Box::new(object) }
}

/// Whom an object was made for, if we made it.
fn owner(object: &DynamicObject) -> Option<Owner> {
    let labels = object.labels();
    if labels.get(MANAGED_BY).map(String::as_str) != Some("fission") {
        return None;
    }
    Some((labels.get(TRIGGER_NAMESPACE)?.clone(), labels.get(TRIGGER_NAME)?.clone()))
}

/// The object as it should be; `None` when it is. What is not ours stays: labels and annotations of controllers, fields
/// and defaults a cluster filled in.
fn corrected(object: &DynamicObject, wanted: &Wanted) -> Option<DynamicObject> {
    let mut next = object.clone();
    next.labels_mut().extend(wanted.labels.clone());
    let annotations = next.annotations_mut();
    let given = annotations.remove(GIVEN).unwrap_or_default();
    for known in given.split(',').filter(|known| !wanted.annotations.contains_key(*known)) {
        annotations.remove(known);
    }
    annotations.extend(wanted.annotations.clone());
    if !wanted.annotations.is_empty() {
        let keys: Vec<&str> = wanted.annotations.keys().map(String::as_str).collect();
        annotations.insert(GIVEN.to_owned(), keys.join(","));
    }
    if annotations.is_empty() {
        next.metadata.annotations.clone_from(&object.metadata.annotations);
    }
    let Some(data) = next.data.as_object_mut() else { return Some(next) };
    let spec = data.entry("spec").or_insert_with(|| Value::Object(Map::new()));
    if let Some(spec) = spec.as_object_mut() {
        for field in wanted.kind.fields() {
            match wanted.spec.get(*field) {
                Some(value) if spec.get(*field).is_some_and(|now| holds(now, value)) => {}
                Some(value) => drop(spec.insert((*field).to_owned(), value.clone())),
                None => drop(spec.remove(*field)),
            }
        }
    }
    (next != *object).then_some(next)
}

/// Whether everything wanted is there; what is there besides are defaults.
fn holds(now: &Value, wanted: &Value) -> bool {
    match (now, wanted) {
        (Value::Object(now), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| now.get(key).is_some_and(|now| holds(now, value)))
        }
        (Value::Array(now), Value::Array(wanted)) => {
            now.len() == wanted.len() && now.iter().zip(wanted).all(|(now, wanted)| holds(now, wanted))
        }
        (now, wanted) => now == wanted,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
