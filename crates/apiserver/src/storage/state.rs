//! The state of the world in memory: all objects, the last changes, who owns whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::object::{Key, Object};
use super::ring::{Change, Ring, TooOld};
use crate::registry::ResourceId;

/// All objects as of one version. Changed only by whoever commits, and only after the commit.
#[derive(Debug)]
pub(crate) struct State {
    objects: BTreeMap<Key, Arc<Object>>,
    dependents: HashMap<Box<str>, BTreeSet<Key>>,
    /// Rows that failed their check when the database was opened, by key, with what is wrong.
    pub(crate) damaged: BTreeMap<Key, Damage>,
    /// The last changes.
    pub(crate) ring: Ring,
    /// The version of the last change.
    pub(crate) rv: u64,
}

/// A row that failed its check.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    /// Its row.
    pub(crate) row: i64,
    /// What is wrong with it.
    pub(crate) why: String,
}

impl State {
    /// A state with these objects, as of `rv`.
    pub(crate) fn new(rv: u64, objects: impl IntoIterator<Item = (Key, Arc<Object>)>) -> Self {
        let mut state = Self {
            objects: BTreeMap::new(),
            dependents: HashMap::new(),
            damaged: BTreeMap::new(),
            ring: Ring::new(rv),
            rv,
        };
        for (key, object) in objects {
            state.link(&key, &object);
            state.objects.insert(key, object);
        }
        state
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Every object, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.objects.iter()
    }

    /// Objects of a resource (in one namespace, unless `None`) from a position on, in order.
    pub(crate) fn range(&self, range: &Range) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.objects.range(range.start()..).take_while(move |(key, _)| range.contains(key))
    }

    /// The same range as it was at an older version.
    pub(crate) fn range_at(&self, range: &Range, rv: u64) -> Result<BTreeMap<Key, Arc<Object>>, TooOld> {
        let mut objects: BTreeMap<Key, Arc<Object>> =
            self.range(range).map(|(key, object)| (key.clone(), object.clone())).collect();
        let start = range.start();
        for change in self.ring.after(rv)?.rev().filter(|change| range.contains(&change.key) && change.key >= start) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }

    /// The objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Takes a committed change in.
    pub(crate) fn apply(&mut self, change: Change) {
        if let Some(before) = &change.before {
            self.unlink(&change.key, before);
        }
        match &change.after {
            Some(after) => {
                self.link(&change.key, after);
                self.objects.insert(change.key.clone(), after.clone());
            }
            None => {
                self.objects.remove(&change.key);
            }
        }
        self.rv = change.rv();
        self.ring.push(Arc::new(change));
    }

    fn link(&mut self, key: &Key, object: &Object) {
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(key.clone());
        }
    }

    fn unlink(&mut self, key: &Key, object: &Object) {
        for owner in &object.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}

/// Which objects a list is about.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    /// The resource.
    pub(crate) resource: ResourceId,
    /// One namespace, or all.
    pub(crate) namespace: Option<Box<str>>,
    /// Only objects after this namespace and name.
    pub(crate) after: Option<(Box<str>, Box<str>)>,
}

impl Range {
    /// A whole resource, or what it has in one namespace.
    pub(crate) fn of(resource: ResourceId, namespace: Option<&str>) -> Self {
        Self { resource, namespace: namespace.map(Into::into), after: None }
    }

    /// The first key that may be in it.
    fn start(&self) -> Key {
        match &self.after {
            // No name contains a NUL, so this is the smallest key after the one named.
            Some((namespace, name)) => Key::new(self.resource, namespace, &format!("{name}\0")),
            None => Key::new(self.resource, self.namespace.as_deref().unwrap_or(""), ""),
        }
    }

    /// Whether a key is of its resource and namespace.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        key.resource == self.resource && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    }
}
