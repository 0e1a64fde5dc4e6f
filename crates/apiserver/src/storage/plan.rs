//! Decides, in order, which writes of a batch go through, before any of them is committed.
//!
//! Each write says what it was computed from; a write whose basis is gone is refused and its sender computes again.
//! Later writes of a batch see the earlier ones.

use std::collections::HashMap;
use std::sync::Arc;

use super::object::{Draft, Key, Object};
use super::ring::Change;
use super::state::State;
use crate::registry::NAMESPACES;

/// A write to one object.
#[derive(Debug)]
pub(crate) struct Write {
    /// Which object.
    pub(crate) key: Key,
    /// What to do.
    pub(crate) op: Op,
}

/// What to do with an object.
#[derive(Debug)]
pub(crate) enum Op {
    /// Store a new object; it must not exist, and its namespace must.
    Create(Draft),
    /// Store a new version; the stored one must be of this version.
    Update(Draft, u64),
    /// Take it away; the stored one must be of this version.
    Delete(u64),
    /// Take a damaged row away.
    Discard,
}

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It exists.
    Exists,
    /// It does not exist.
    Missing,
    /// It is of another version now.
    Changed,
    /// Its namespace does not exist.
    NoNamespace,
    /// Its namespace is being deleted.
    NamespaceEnding,
    /// Its stored row is damaged.
    Damaged(String),
    /// The disk or the data folder's limit is full.
    Full(String),
    /// The database failed.
    Failed(String),
    /// The server is shutting down.
    Stopped,
}

/// The writes of one batch that go through.
pub(crate) struct Plan<'a> {
    state: &'a State,
    in_memory: &'a [bool],
    overlay: HashMap<Key, Option<Arc<Object>>>,
    /// What to commit, in order.
    pub(crate) changes: Vec<Change>,
    /// Damaged rows to take away.
    pub(crate) discards: Vec<(Key, i64)>,
    rv: u64,
    next_row: i64,
}

impl<'a> Plan<'a> {
    /// An empty plan on top of a state. `in_memory` says by resource whether its objects never reach the disk.
    pub(crate) fn new(state: &'a State, in_memory: &'a [bool], next_row: i64) -> Self {
        Self {
            state,
            in_memory,
            overlay: HashMap::new(),
            changes: Vec::new(),
            discards: Vec::new(),
            rv: state.rv,
            next_row,
        }
    }

    /// The row the next new object gets.
    pub(crate) fn next_row(&self) -> i64 {
        self.next_row
    }

    /// Takes one write in, or says why not. The object given back is the new version, or the last one of a deletion.
    pub(crate) fn take(&mut self, write: Write) -> Result<Arc<Object>, Refused> {
        let current = self.current(&write.key);
        match write.op {
            Op::Create(draft) => {
                if current.is_some() {
                    return Err(Refused::Exists);
                }
                if let Some(damage) = self.state.damaged.get(&write.key) {
                    return Err(Refused::Damaged(damage.why.clone()));
                }
                self.namespace_open(&write.key)?;
                let row = if self.is_in_memory(&write.key) { 0 } else { self.take_row() };
                Ok(self.put(write.key, None, draft, row))
            }
            Op::Update(draft, basis) => {
                let current = current.ok_or(Refused::Missing)?;
                if current.rv != basis {
                    return Err(Refused::Changed);
                }
                let row = current.row;
                Ok(self.put(write.key, Some(current), draft, row))
            }
            Op::Delete(basis) => {
                let current = current.ok_or(Refused::Missing)?;
                if current.rv != basis {
                    return Err(Refused::Changed);
                }
                self.rv += 1;
                let shown = Arc::new(current.at(self.rv));
                self.overlay.insert(write.key.clone(), None);
                self.changes.push(Change { key: write.key, before: Some(current), after: None, shown: shown.clone() });
                Ok(shown)
            }
            Op::Discard => {
                let damage = self.state.damaged.get(&write.key).ok_or(Refused::Missing)?;
                self.discards.push((write.key, damage.row));
                Ok(Arc::new(Draft::new(&serde_json::Value::Null).seal(self.rv, damage.row)))
            }
        }
    }

    fn put(&mut self, key: Key, before: Option<Arc<Object>>, draft: Draft, row: i64) -> Arc<Object> {
        self.rv += 1;
        let object = Arc::new(draft.seal(self.rv, row));
        self.overlay.insert(key.clone(), Some(object.clone()));
        self.changes.push(Change { key, before, after: Some(object.clone()), shown: object.clone() });
        object
    }

    fn current(&self, key: &Key) -> Option<Arc<Object>> {
        match self.overlay.get(key) {
            Some(overlaid) => overlaid.clone(),
            None => self.state.get(key).cloned(),
        }
    }

    fn namespace_open(&self, key: &Key) -> Result<(), Refused> {
        if key.namespace.is_empty() || self.is_in_memory(key) {
            return Ok(());
        }
        let namespace = Key::new(NAMESPACES, "", &key.namespace);
        match self.current(&namespace) {
            Some(object) if object.deleting => Err(Refused::NamespaceEnding),
            Some(_) => Ok(()),
            None if self.state.damaged.contains_key(&namespace) => Ok(()),
            None => Err(Refused::NoNamespace),
        }
    }

    fn is_in_memory(&self, key: &Key) -> bool {
        self.in_memory.get(usize::from(key.resource)).copied().unwrap_or(false)
    }

    fn take_row(&mut self) -> i64 {
        self.next_row += 1;
        self.next_row - 1
    }
}
