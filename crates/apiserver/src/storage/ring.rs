//! The last changes, in memory, bounded. Watches, and lists as of an older version, are served from it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::object::{Key, Object};

/// Changes kept. At 1,000 changes a second a watcher has 16 seconds to come back before it must list again.
const MAX_CHANGES: usize = 16_384;
/// Bytes of objects kept by those changes, so that large objects cannot fill the memory.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What happened to one object. Every resource version has exactly one change.
#[derive(Debug)]
pub(crate) struct Change {
    /// Which object.
    pub(crate) key: Key,
    /// It before; `None` when it was created.
    pub(crate) before: Option<Arc<Object>>,
    /// It after; `None` when it was deleted.
    pub(crate) after: Option<Arc<Object>>,
    /// What watchers are shown: it after, or its last state under the version of the deletion.
    pub(crate) shown: Arc<Object>,
}

impl Change {
    /// The resource version this change made.
    pub(crate) fn rv(&self) -> u64 {
        self.shown.rv
    }

    fn weight(&self) -> usize {
        self.shown.bytes.len() + self.before.as_ref().map_or(0, |before| before.bytes.len())
    }
}

/// The version asked for is older than the oldest change kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOld {
    /// The oldest version that can still be asked for.
    pub(crate) oldest: u64,
}

/// The last changes. Their versions follow one another without a gap.
#[derive(Debug)]
pub(crate) struct Ring {
    changes: VecDeque<Arc<Change>>,
    /// The version before the first change kept.
    base: u64,
    bytes: usize,
    max_changes: usize,
}

impl Ring {
    /// An empty ring whose next change is `base + 1`.
    pub(crate) fn new(base: u64) -> Self {
        Self { changes: VecDeque::new(), base, bytes: 0, max_changes: MAX_CHANGES }
    }

    /// Keeps fewer changes than usual, so that a test can make a version too old.
    #[cfg(test)]
    pub(crate) fn keep(&mut self, max_changes: usize) {
        self.max_changes = max_changes;
        self.trim();
    }

    /// Adds the next change.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        debug_assert_eq!(change.rv(), self.base + self.changes.len() as u64 + 1, "versions must not have gaps");
        self.bytes += change.weight();
        self.changes.push_back(change);
        self.trim();
    }

    fn trim(&mut self) {
        while self.changes.len() > self.max_changes || (self.bytes > MAX_BYTES && self.changes.len() > 1) {
            if let Some(oldest) = self.changes.pop_front() {
                self.bytes -= oldest.weight();
                self.base = oldest.rv();
            }
        }
    }

    /// The changes after a version, oldest first.
    pub(crate) fn after(&self, rv: u64) -> Result<impl DoubleEndedIterator<Item = &Arc<Change>>, TooOld> {
        if rv < self.base {
            return Err(TooOld { oldest: self.base });
        }
        let skip = usize::try_from(rv - self.base).unwrap_or(usize::MAX).min(self.changes.len());
        Ok(self.changes.range(skip..))
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
