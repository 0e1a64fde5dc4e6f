//! Room for instances on this machine: how many there may be, and how much memory must stay free. A burst waits for
//! room; it never makes the machine swap.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::options::Options;
use crate::policy::Policy;
use crate::reaper;

/// How often free memory is looked at by those who wait for it.
const LOOK: Duration = Duration::from_millis(50);

/// Knows how much memory is left.
pub trait Memory: Debug + Send + Sync + 'static {
    /// Bytes that can be used without swapping; `None` where that is not known, which is as good as enough.
    fn available(&self) -> Option<u64>;
}

/// No limit but the number of instances.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Memory for Unlimited {
    fn available(&self) -> Option<u64> {
        None
    }
}

/// What is left of this machine.
pub(crate) struct Room {
    slots: Arc<Semaphore>,
    most: usize,
    memory: Arc<dyn Memory>,
    reserve: u64,
    per_instance: u64,
    state: Mutex<State>,
    /// Creations waiting for a slot, and for memory.
    waiting: AtomicUsize,
    short: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Instances being made: their memory is not used yet.
    making: u64,
    /// Creations that have a slot and wait for memory.
    held: usize,
}

/// One instance may be made. Held until the instance is up and its memory is really used.
pub(crate) struct Making(Arc<Policy>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.room.lock().making -= 1;
    }
}

impl Room {
    pub(crate) fn new(options: &Options) -> Self {
        let most = options.max_instances.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(most)),
            most,
            memory: options.memory.clone(),
            reserve: options.memory_reserve,
            per_instance: options.memory_per_instance,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            short: AtomicUsize::new(0),
        }
    }

    /// Creations that wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Nothing is made any more.
    pub(crate) fn close(&self) {
        self.slots.close();
    }

    /// Which limit creations wait for, if any does; for people.
    pub(crate) fn full(&self) -> Option<String> {
        const MIB: u64 = 1 << 20;
        if self.short.load(Ordering::Relaxed) > 0 {
            let free = self.memory.available().unwrap_or_default() / MIB;
            let reserve = self.reserve / MIB;
            return Some(format!(
                "this machine has {free} MiB of memory left, and {reserve} MiB must stay free (fission up --memory-reserve)"
            ));
        }
        (self.waiting() > 0)
            .then(|| format!("this machine runs {} instances, the most it may (fission up --max-instances)", self.most))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more fits into memory; if so it counts as being made. The only instance of a machine always fits: to
    /// serve nobody would be worse. The caller is one of those held.
    fn take_memory(&self) -> bool {
        let mut state = self.lock();
        let needed = self.reserve.saturating_add(self.per_instance.saturating_mul(state.making + 1));
        let alone = self.most - self.slots.available_permits() <= state.held;
        let fits = alone || self.memory.available().is_none_or(|available| available >= needed);
        state.making += u64::from(fits);
        fits
    }
}

/// Room for one instance. Waits for it if `wanted`, after asking for something idle to end.
pub(crate) async fn enter(policy: &Arc<Policy>, wanted: impl Fn() -> bool) -> Option<(OwnedSemaphorePermit, Making)> {
    let room = &policy.room;
    let slot = match room.slots.clone().try_acquire_owned() {
        Ok(slot) => slot,
        Err(_) if !wanted() => return None,
        Err(_) => {
            let _waiting = Count::new(&room.waiting);
            reaper::make_room(policy);
            room.slots.clone().acquire_owned().await.ok()?
        }
    };
    let _held = Held::new(room);
    if !room.take_memory() {
        let _short = Count::new(&room.short);
        let _waiting = Count::new(&room.waiting);
        loop {
            if !wanted() {
                return None;
            }
            reaper::make_room(policy);
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = policy.ending.cancelled() => return None,
            }
            if room.take_memory() {
                break;
            }
        }
    }
    Some((slot, Making(policy.clone())))
}

/// A creation with a slot that may still have to wait for memory.
struct Held<'a>(&'a Room);

impl<'a> Held<'a> {
    fn new(room: &'a Room) -> Self {
        room.lock().held += 1;
        Self(room)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().held -= 1;
    }
}

/// Counts itself out when the wait is over or given up.
struct Count<'a>(&'a AtomicUsize);

impl<'a> Count<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
