//! A map that is cheap to copy after a small change: readers keep the old copy while a writer makes the next one.

use std::collections::HashMap;
use std::sync::Arc;

/// Pieces a map is cut in. With 100,000 entries a change copies about a hundred of them.
const SHARDS: usize = 1024;
/// Bits of the hash that choose the piece.
const SHARD_BITS: u32 = SHARDS.ilog2();

/// A map from text to `V`, cut in shared pieces. Cloning shares them all; changing one entry copies one piece.
#[derive(Clone, Debug)]
pub(crate) struct Shards<V> {
    shards: Vec<Arc<HashMap<Arc<str>, V>>>,
    len: usize,
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { shards: vec![empty; SHARDS], len: 0 }
    }
}

impl<V: Clone> Shards<V> {
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.shards[shard_of(key)].get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn insert(&mut self, key: Arc<str>, value: V) {
        let before = Arc::make_mut(&mut self.shards[shard_of(&key)]).insert(key, value);
        self.len += usize::from(before.is_none());
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        let shard = &mut self.shards[shard_of(key)];
        if !shard.contains_key(key) {
            return None;
        }
        self.len -= 1;
        Arc::make_mut(shard).remove(key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.shards.iter().flat_map(|shard| shard.values())
    }
}

/// Only spreads entries over pieces; inside a piece the map's own keyed hash protects against chosen keys.
fn shard_of(key: &str) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = key.as_bytes().as_chunks::<8>();
    let mut hash = key.len() as u64;
    for word in words {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
    }
    let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    hash = (hash.rotate_left(5) ^ last).wrapping_mul(MIX);
    (hash >> (u64::BITS - SHARD_BITS)) as usize
}
