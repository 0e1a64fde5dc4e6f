//! How many instances to start: a pure decision from what is asked for and what there is.

/// What one function generation is asked for and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests waiting for a slot.
    pub(crate) waiting: usize,
    /// Requests in flight on open endpoints.
    pub(crate) in_flight: usize,
    /// Open endpoints.
    pub(crate) open: usize,
    /// Instances being specialized.
    pub(crate) pending: usize,
    /// All living specialized instances, those serving their last requests included.
    pub(crate) living: usize,
}

/// What bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Requests one instance is meant to serve at once.
    pub(crate) per_instance: usize,
    /// Most living and pending instances together.
    pub(crate) most: usize,
    /// Instances wanted even when nobody asks.
    pub(crate) floor: usize,
    /// Most pending instances while nobody asks.
    pub(crate) eager: usize,
    /// Most pending instances.
    pub(crate) pending: usize,
}

/// Instances to start now. Never more than the waiting requests can fill, and never above a bound.
pub(crate) fn to_start(load: Load, bounds: Bounds) -> usize {
    let per_instance = bounds.per_instance.max(1);
    let coming = load.open + load.pending;
    let asked = load.waiting + load.in_flight;
    let missing = asked.saturating_sub(coming.saturating_mul(per_instance)).div_ceil(per_instance);
    let below_floor = bounds.floor.saturating_sub(coming).min(bounds.eager.saturating_sub(load.pending));
    let room = bounds.most.saturating_sub(load.living + load.pending);
    missing.max(below_floor).min(room).min(bounds.pending.saturating_sub(load.pending))
}

/// Which instances to reap, given all open ones from newest to oldest as (idle long enough). The newest `keep` stay,
/// busy or not.
pub(crate) fn to_reap(newest_first: &[bool], keep: usize) -> Vec<usize> {
    newest_first.iter().enumerate().skip(keep).filter(|(_, idle)| **idle).map(|(position, _)| position).collect()
}

#[cfg(test)]
#[path = "capacity_tests.rs"]
mod tests;
