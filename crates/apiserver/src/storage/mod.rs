//! Where objects are kept: the truth on disk, a copy in memory that everything is read from.
//!
//! Invariants:
//! * memory changes only after the disk has it, and watchers hear of it only after that; a failed commit changes nothing;
//! * each change has its own resource version, one larger than the one before;
//! * one writer decides all writes one after another, so a write based on an old version never wins.
//!
//! Start reading in [`plan`], then [`writer`].

mod lock;
mod object;
mod plan;
mod ring;
mod sqlite;
mod state;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::lock::{FolderLock, LockError};
pub(crate) use self::object::{Draft, Key, Object};
pub(crate) use self::plan::{Op, Refused, Write};
pub(crate) use self::ring::Change;
pub(crate) use self::sqlite::DatabaseError;
#[cfg(test)]
pub(crate) use self::sqlite::tests::damage_row;
pub(crate) use self::state::{Range, State};

use self::plan::Plan;
use self::sqlite::Database;
use self::writer::Request;

/// What all parts of the store share.
pub(crate) struct Shared {
    state: RwLock<State>,
    /// The version of the last published change; watchers wait on it. `None` once the server stops.
    feed: watch::Sender<Option<u64>>,
    /// By resource: whether its objects never reach the disk.
    in_memory: Vec<bool>,
}

impl Shared {
    /// The state, to read.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes that make what is missing of `seed` exist, and the next free row.
    fn plant(&self, seed: Vec<(Key, Draft)>, next_row: i64) -> (Vec<Change>, i64) {
        let state = self.read();
        let mut plan = Plan::new(&state, &self.in_memory, next_row);
        for (key, draft) in seed {
            // What exists already is refused, and that is what is wanted.
            let _ = plan.take(Write { key, op: Op::Create(draft) });
        }
        (std::mem::take(&mut plan.changes), plan.next_row())
    }

    /// Takes committed changes in and tells watchers.
    fn publish(&self, changes: Vec<Change>, discards: &[(Key, i64)]) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in discards {
            state.damaged.remove(key);
        }
        for change in changes {
            state.apply(change);
        }
        let rv = state.rv;
        drop(state);
        self.feed.send_if_modified(|last| match last {
            Some(last) if *last != rv => {
                *last = rv;
                true
            }
            _ => false,
        });
    }
}

enum Backing {
    /// A writer thread with a database; it also holds the lock on the folder.
    Disk { queue: mpsc::Sender<Request> },
    /// Nothing but memory; the mutex makes writes go one after another.
    Memory(Mutex<()>),
}

/// The store.
pub(crate) struct Store {
    shared: Arc<Shared>,
    backing: Backing,
}

/// A resource as the store needs to know it.
pub(crate) struct Stored {
    /// Name in the database; never changes once used.
    pub(crate) name: String,
    /// Whether its objects never reach the disk.
    pub(crate) in_memory: bool,
}

impl Store {
    /// A store that forgets everything when dropped. `seed` is what must exist from the start.
    pub(crate) fn in_memory(resources: Vec<Stored>, seed: Vec<(Key, Draft)>) -> Self {
        let in_memory = resources.iter().map(|resource| resource.in_memory).collect();
        let shared =
            Arc::new(Shared { state: RwLock::new(State::new(0, [])), feed: watch::Sender::new(Some(0)), in_memory });
        let (changes, _) = shared.plant(seed, 0);
        shared.publish(changes, &[]);
        Self { shared, backing: Backing::Memory(Mutex::new(())) }
    }

    /// A store in a folder that is locked already. `max_pages` limits the database; `seed` is what must exist.
    pub(crate) fn on_disk(
        folder: &Path,
        lock: FolderLock,
        resources: Vec<Stored>,
        seed: Vec<(Key, Draft)>,
        max_pages: Option<u32>,
    ) -> Result<Self, DatabaseError> {
        let (names, in_memory): (Vec<_>, Vec<_>) =
            resources.into_iter().map(|resource| (resource.name, resource.in_memory)).unzip();
        let (mut database, loaded) = Database::open(folder, names, in_memory.clone(), max_pages)?;
        let mut state = State::new(loaded.rv, loaded.objects);
        state.damaged = loaded.damaged;
        let shared =
            Arc::new(Shared { state: RwLock::new(state), feed: watch::Sender::new(Some(loaded.rv)), in_memory });
        let (changes, next_row) = shared.plant(seed, loaded.next_row);
        database.commit(&changes, &[]).map_err(DatabaseError::Seed)?;
        shared.publish(changes, &[]);
        let (queue, requests) = mpsc::channel(writer::QUEUE);
        let for_thread = shared.clone();
        let spawned = std::thread::Builder::new()
            .name("apiserver-writer".to_owned())
            .spawn(move || writer::run(database, lock, &for_thread, next_row, requests));
        if let Err(error) = spawned {
            return Err(DatabaseError::Thread(error));
        }
        Ok(Self { shared, backing: Backing::Disk { queue } })
    }

    /// The state, to read. Not to be held across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.shared.read()
    }

    /// One object as it is now.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read().get(key).cloned()
    }

    /// Tells of new versions; `None` once the server stops.
    pub(crate) fn feed(&self) -> watch::Receiver<Option<u64>> {
        self.shared.feed.subscribe()
    }

    /// Writes one object. When this returns, the write is durable, in memory and on its way to watchers.
    pub(crate) async fn write(&self, key: Key, op: Op) -> Result<Arc<Object>, Refused> {
        let write = Write { key, op };
        match &self.backing {
            Backing::Memory(turn) => {
                if self.shared.feed.borrow().is_none() {
                    return Err(Refused::Stopped);
                }
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                let state = self.shared.read();
                let mut plan = Plan::new(&state, &self.shared.in_memory, 0);
                let outcome = plan.take(write);
                let (changes, discards) = (std::mem::take(&mut plan.changes), std::mem::take(&mut plan.discards));
                drop(plan);
                drop(state);
                self.shared.publish(changes, &discards);
                outcome
            }
            Backing::Disk { queue } => {
                let (answer, answered) = oneshot::channel();
                queue.send(Request::Write(write, answer)).await.map_err(|_| Refused::Stopped)?;
                answered.await.map_err(|_| Refused::Stopped)?
            }
        }
    }

    /// Ends all watches, commits what is queued and closes the database.
    pub(crate) async fn stop(&self) {
        self.shared.feed.send_replace(None);
        if let Backing::Disk { queue } = &self.backing {
            let (answer, answered) = oneshot::channel();
            if queue.send(Request::Stop(answer)).await.is_ok() {
                let _ = answered.await;
            }
        }
    }

    /// Keeps fewer changes than usual, so that a test can make a version too old.
    #[cfg(test)]
    pub(crate) fn keep_changes(&self, changes: usize) {
        self.shared.state.write().unwrap_or_else(PoisonError::into_inner).ring.keep(changes);
    }
}
