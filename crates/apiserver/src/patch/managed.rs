//! `metadata.managedFields`: who last set which field, and how.

use serde_json::{Value, json};

use super::fields::FieldSet;
use crate::shape::Shape;

/// Managers remembered for an object before the oldest updaters are told as one, as Kubernetes does.
const MAX_UPDATERS: usize = 10;
/// The manager those are told as.
const ANCIENT: &str = "ancient-changes";

/// One manager's entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) manager: String,
    /// `Apply` for server-side apply, else `Update`.
    pub(crate) apply: bool,
    /// `status`, or empty for the object itself.
    pub(crate) subresource: String,
    /// Version the paths are of.
    pub(crate) api_version: String,
    /// When it last changed something.
    pub(crate) time: String,
    /// What it owns.
    pub(crate) fields: FieldSet,
}

/// Who writes, and when.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    /// Name of the manager.
    pub(crate) manager: &'a str,
    /// Empty or `status`.
    pub(crate) subresource: &'a str,
    /// Version of the kind written.
    pub(crate) api_version: &'a str,
    /// RFC 3339.
    pub(crate) time: &'a str,
}

impl Author<'_> {
    /// The entry of this author.
    pub(crate) fn entry(&self, apply: bool, fields: FieldSet) -> Entry {
        Entry {
            manager: self.manager.to_owned(),
            apply,
            subresource: self.subresource.to_owned(),
            api_version: self.api_version.to_owned(),
            time: self.time.to_owned(),
            fields,
        }
    }

    /// Whether an entry is this author's.
    pub(crate) fn owns(&self, entry: &Entry, apply: bool) -> bool {
        entry.manager == self.manager && entry.subresource == self.subresource && entry.apply == apply
    }
}

/// The entries of an object.
pub(crate) fn read(object: &Value) -> Vec<Entry> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("").to_owned();
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .map(|entry| Entry {
            manager: text(entry, "manager"),
            apply: entry["operation"] == "Apply",
            subresource: text(entry, "subresource"),
            api_version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        })
        .collect()
}

/// Writes entries into an object; those that own nothing are left out.
pub(crate) fn write(object: &mut Value, entries: &[Entry]) {
    let list: Vec<Value> = entries
        .iter()
        .filter(|entry| !entry.fields.is_empty())
        .map(|entry| {
            let mut json = json!({
                "manager": entry.manager, "operation": if entry.apply { "Apply" } else { "Update" },
                "apiVersion": entry.api_version, "time": entry.time,
                "fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json(),
            });
            if !entry.subresource.is_empty() {
                json["subresource"] = entry.subresource.as_str().into();
            }
            json
        })
        .collect();
    let Some(meta) = object["metadata"].as_object_mut() else { return };
    if list.is_empty() {
        meta.remove("managedFields");
    } else {
        meta.insert("managedFields".to_owned(), Value::Array(list));
    }
}

/// Records an update: what the author changed is the author's now, what is gone is no one's.
pub(crate) fn record_update(before: Option<&Value>, after: &mut Value, shape: Shape<'_>, author: Author<'_>) {
    let mut entries = read(after);
    let old = before.map(comparable);
    let new = comparable(after);
    let mut changed = FieldSet::changed(old.as_ref(), &new, shape);
    changed.here = false;
    for entry in &mut entries {
        let mine = author.owns(entry, false);
        let left = entry.fields.existing_in(&new);
        entry.fields = if mine { left } else { left.without(&changed) };
    }
    if !changed.is_empty() {
        match entries.iter_mut().find(|entry| author.owns(entry, false)) {
            Some(entry) => {
                entry.fields = std::mem::take(&mut entry.fields).union(&changed);
                entry.time = author.time.to_owned();
                entry.api_version = author.api_version.to_owned();
            }
            None => entries.push(author.entry(false, changed)),
        }
    }
    merge_oldest(&mut entries);
    write(after, &entries);
}

/// An object without what no manager can own.
pub(crate) fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(top) = object.as_object_mut() {
        top.remove("apiVersion");
        top.remove("kind");
        if let Some(meta) = top.get_mut("metadata").and_then(Value::as_object_mut) {
            for server_set in [
                "name",
                "namespace",
                "uid",
                "resourceVersion",
                "generation",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "selfLink",
                "managedFields",
                "generateName",
            ] {
                meta.remove(server_set);
            }
            if meta.is_empty() {
                top.remove("metadata");
            }
        }
    }
    object
}

fn merge_oldest(entries: &mut Vec<Entry>) {
    let updaters = entries.iter().filter(|entry| !entry.apply).count();
    if updaters <= MAX_UPDATERS {
        return;
    }
    entries.sort_by(|a, b| a.apply.cmp(&b.apply).reverse().then_with(|| a.time.cmp(&b.time)));
    let first = entries.iter().position(|entry| !entry.apply).unwrap_or(0);
    let mut ancient: Vec<Entry> = entries.drain(first..first + updaters - MAX_UPDATERS + 1).collect();
    let Some(mut merged) = ancient.pop() else { return };
    for entry in &ancient {
        merged.fields = std::mem::take(&mut merged.fields).union(&entry.fields);
    }
    merged.manager = ANCIENT.to_owned();
    entries.insert(first, merged);
}
