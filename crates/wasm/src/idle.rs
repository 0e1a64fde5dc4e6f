//! Stores of one instance that wait for a request. The one used last is taken first, so that those a burst left behind grow
//! old; what nobody took for a while is let go. An instance that idles then costs little more than its name: no linear memory,
//! no stack, none of the pool's places.

use std::mem;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::lock;

/// What waits, oldest first.
pub(crate) struct Idle<T> {
    /// How long.
    after: Duration,
    waiting: Mutex<Waiting<T>>,
}

struct Waiting<T> {
    stores: Vec<(Instant, T)>,
    /// A task sees to it that they are let go.
    is_watched: bool,
}

impl<T: Send + 'static> Idle<T> {
    /// None yet. `after`: how long one waits at most.
    pub(crate) fn new(after: Duration) -> Arc<Self> {
        Arc::new(Self { after, waiting: Mutex::new(Waiting { stores: Vec::new(), is_watched: false }) })
    }

    /// The one used last.
    pub(crate) fn take(&self) -> Option<T> {
        lock(&self.waiting).stores.pop().map(|(_, store)| store)
    }

    /// Has one wait. Must be called inside a tokio runtime.
    pub(crate) fn keep(self: &Arc<Self>, store: T) {
        let mut waiting = lock(&self.waiting);
        waiting.stores.push((Instant::now(), store));
        if !mem::replace(&mut waiting.is_watched, true) {
            tokio::spawn(watch(Arc::downgrade(self), self.after));
        }
    }

    /// Lets all go.
    pub(crate) fn clear(&self) {
        let gone = mem::take(&mut lock(&self.waiting).stores);
        drop(gone);
    }

    /// Lets those go that waited long enough. Says when the next one will have; nothing when none is left.
    fn let_go(&self) -> Option<Duration> {
        let mut waiting = lock(&self.waiting);
        let old = waiting.stores.iter().take_while(|(since, _)| since.elapsed() >= self.after).count();
        let gone: Vec<_> = waiting.stores.drain(..old).collect();
        waiting.stores.shrink_to_fit();
        let next = waiting.stores.first().map(|(since, _)| self.after.saturating_sub(since.elapsed()));
        waiting.is_watched = next.is_some();
        drop(waiting);
        // Giving memory back takes its time: nobody waits for it.
        drop(gone);
        next
    }
}

async fn watch<T: Send + 'static>(idle: Weak<Idle<T>>, mut pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(next) = idle.upgrade().and_then(|idle| idle.let_go()) else { return };
        pause = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_nobody_took_for_a_while_is_let_go() {
        let (idle, store) = (Idle::new(AFTER), Arc::new(()));
        idle.keep(store.clone());
        tokio::time::sleep(AFTER / 2).await;
        assert_eq!(Arc::strong_count(&store), 2);
        tokio::time::sleep(AFTER).await;
        assert_eq!((Arc::strong_count(&store), idle.take()), (1, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_stays_and_what_a_burst_left_behind_goes() {
        let idle = Idle::new(AFTER);
        for store in ["first", "second"] {
            idle.keep(store);
        }
        for _ in 0..5 {
            tokio::time::sleep(AFTER / 2).await;
            assert_eq!(idle.take(), Some("second"));
            idle.keep("second");
        }
        assert_eq!((idle.take(), idle.take()), (Some("second"), None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_after_all_went_is_let_go_too() {
        let idle = Idle::new(AFTER);
        for _ in 0..2 {
            idle.keep(());
            tokio::time::sleep(AFTER * 2).await;
            assert_eq!(idle.take(), None);
        }
    }
}
