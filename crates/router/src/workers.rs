//! Threads that serve connections, as many as there are processors. A connection stays on its thread with everything it
//! uses, the connections to instances too, so that no request wakes another thread or is looked for by one: on two cores
//! that takes a quarter to a half off the processor time of a request (README.md has the figures).
//!
//! What a request has others do (the executor, a component that computes) belongs to the runtime the router was started
//! on, its home: workers do nothing but carry requests.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::context::TokioContext;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What workers are called in tools that show threads.
const THREAD_NAME: &str = "router";

thread_local! {
    /// Which worker this thread is; 0 for all others.
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// Number of this thread's worker, from 1; 0 for a thread that is none.
pub(crate) fn current() -> usize {
    WORKER.get()
}

/// The workers of one router, and its home.
pub(crate) struct Workers {
    home: Handle,
    workers: Vec<Worker>,
    /// Ends the threads with the router.
    _stop: DropGuard,
}

/// One thread.
struct Worker {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts threads; the caller's runtime is their home. Without any, or when they cannot be had, everything is done at home.
    pub(crate) fn start(count: usize) -> Self {
        let stop = CancellationToken::new();
        let workers: io::Result<Vec<Worker>> = (1..=count).map(|number| Worker::start(number, &stop)).collect();
        let workers = workers.unwrap_or_else(|error| {
            tracing::warn!(%error, count, "threads for connections could not be started; the others serve them");
            Vec::new()
        });
        Self { home: Handle::current(), workers, _stop: stop.drop_guard() }
    }

    /// A place for one more connection: where there are fewest.
    pub(crate) fn place(&self) -> Place {
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed)) else {
            return Place { handle: self.home.clone(), counted: None };
        };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Place { handle: worker.handle.clone(), counted: Some(worker.connections.clone()) }
    }

    /// Has what a future starts (tasks, timers, connections) belong to the home.
    pub(crate) fn at_home<F: Future>(&self, future: F) -> TokioContext<F> {
        TokioContext::new(future, self.home.clone())
    }

    /// The runtime the router was started on.
    pub(crate) fn home(&self) -> &Handle {
        &self.home
    }
}

impl Worker {
    fn start(number: usize, stop: &CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), stop.clone());
        std::thread::Builder::new().name(format!("{THREAD_NAME}-{number}")).spawn(move || {
            WORKER.set(number);
            runtime.block_on(stop.cancelled());
        })?;
        Ok(Self { handle, connections: Arc::default() })
    }
}

/// Where one connection is served; counted until it is dropped.
pub(crate) struct Place {
    handle: Handle,
    counted: Option<Arc<AtomicUsize>>,
}

impl Place {
    /// The runtime there.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(connections) = &self.counted {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
