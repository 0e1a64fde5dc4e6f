//! One loaded instance: the stores it has, and which of them serves a request.
//!
//! A request gets an idle store, the one used last, or a new one; a store that served without failing is kept for the next
//! request, up to the function's number of requests, and for a while (`idle`). So an instance has as many stores as it lately
//! had requests at once, which the platform limits (`requestsPerPod`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fission_rpc::local::{LocalBody, LocalCall, LocalService};
use fission_rpc::refusal::{Component, Refusal};
use http::Request;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime::{Store, WasmBacktrace};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use crate::artifacts::{Code, Loaded};
use crate::call;
use crate::failures::Names;
use crate::guest::{Given, Guest, MemoryLimit};
use crate::idle::Idle;
use crate::machine::Machine;
use crate::outputs::Printer;

/// Epochs a component computes before it lets others have the thread.
const EPOCHS: u64 = 1;
/// Requests whose response is complete and whose component still works on, at most; a further one is ended.
const MAX_LINGERING: usize = 16;
/// How long calls that were told to end may take until they did.
const KILLED: Duration = Duration::from_millis(500);

/// A loaded instance.
pub(crate) struct Instance {
    pub(crate) names: Names,
    pub(crate) machine: Arc<Machine>,
    pub(crate) calls: TaskTracker,
    /// Calls end now.
    pub(crate) ended: CancellationToken,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) given: Given,
    /// Requests a store serves before another takes its place.
    reuse: u32,
    idle: Arc<Idle<Ready>>,
    lingering: AtomicUsize,
    /// Held so that its files go when it does.
    _files: Option<Files>,
}

/// A store that can serve.
pub(crate) struct Ready {
    pub(crate) store: Store<Guest>,
    pub(crate) proxy: Proxy,
    served: u32,
}

/// Files of one instance; removed when dropped.
pub(crate) struct Files(pub(crate) PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "an instance's files could not be removed; the next start does");
        }
    }
}

impl Instance {
    pub(crate) fn new(
        names: Names,
        machine: Arc<Machine>,
        loaded: Arc<Loaded>,
        given: Given,
        reuse: u32,
        files: Option<Files>,
    ) -> Arc<Self> {
        let idle = Idle::new(machine.idle_store);
        Arc::new(Self {
            names,
            machine,
            calls: TaskTracker::new(),
            ended: CancellationToken::new(),
            loaded,
            given,
            reuse,
            idle,
            lingering: AtomicUsize::new(0),
            _files: files,
        })
    }

    /// A store for one request.
    pub(crate) async fn take(&self, pre: &ProxyPre<Guest>) -> Result<Ready, Refusal> {
        match self.idle.take() {
            Some(ready) => Ok(ready),
            None => self.make(pre).await,
        }
    }

    /// Makes the first store, so that what cannot even begin is found before a request comes. A command has none: it runs
    /// once for each request.
    pub(crate) async fn begin(&self) -> Result<(), Refusal> {
        if let Code::Component(pre) = &self.loaded.code {
            let _running = self.machine.running();
            let first = self.make(pre).await?;
            self.idle.keep(first);
        }
        Ok(())
    }

    async fn make(&self, pre: &ProxyPre<Guest>) -> Result<Ready, Refusal> {
        let guest =
            Guest::new(&self.given).map_err(|error| self.names.misbehaved(format!("cannot start: {error:#}")))?;
        let mut store = Store::new(&self.machine.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        self.share_time(&mut store);
        match pre.instantiate_async(&mut store).await {
            Ok(proxy) => Ok(Ready { store, proxy, served: 0 }),
            Err(error) => Err(self.failed(&store.data().memory, &store.data().stderr, &error)),
        }
    }

    /// Takes back a store whose request ended well.
    pub(crate) fn put(&self, mut ready: Ready) {
        ready.served += 1;
        if ready.served < self.reuse && !self.ended.is_cancelled() {
            self.idle.keep(ready);
        }
    }

    /// Has a store let others have the thread after each tick.
    pub(crate) fn share_time<T: Send>(&self, store: &mut Store<T>) {
        store.set_epoch_deadline(EPOCHS);
        store.epoch_deadline_async_yield_and_update(EPOCHS);
    }

    /// What to say of a store that failed; the details go to the function's log.
    pub(crate) fn failed(&self, memory: &MemoryLimit, log: &Printer, error: &wasmtime::Error) -> Refusal {
        let refusal = self.names.failed(error, memory);
        log.end();
        log.note(&refusal.message);
        // Of the component alone: what the error itself remembers may be the platform's own frames.
        if let Some(frames) = error.downcast_ref::<WasmBacktrace>() {
            log.note(&frames.to_string());
        }
        refusal
    }

    /// Lets a component work on after its response, unless too many do.
    pub(crate) fn linger(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let before = self.lingering.fetch_add(1, Ordering::Relaxed);
        let guard = Lingering(self.clone());
        if before < MAX_LINGERING {
            tokio::spawn(async move {
                work.await;
                drop(guard);
            });
        }
    }

    /// Ends it: calls in progress have `grace`, then they fail.
    pub(crate) async fn end(&self, grace: Duration) {
        self.calls.close();
        let _ = tokio::time::timeout(grace, self.calls.wait()).await;
        self.ended.cancel();
        self.idle.clear();
        // A call that nobody drives, such as one whose client does not read, ends when it is driven or dropped.
        let _ = tokio::time::timeout(KILLED, self.calls.wait()).await;
    }
}

/// One call that works on after its response.
struct Lingering(Arc<Instance>);

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A loaded instance as the router calls it.
pub(crate) struct Door(pub(crate) Arc<Instance>);

impl LocalService for Door {
    fn call(&self, request: Request<LocalBody>) -> LocalCall {
        Box::pin(call::serve(self.0.clone(), request))
    }
}

/// A generic instance as nobody calls it.
pub(crate) struct Vacant;

impl LocalService for Vacant {
    fn call(&self, _: Request<LocalBody>) -> LocalCall {
        let refusal = Refusal::new(500, Component::Function, "function_error", "this instance has no function yet");
        Box::pin(std::future::ready(Err(refusal)))
    }
}
