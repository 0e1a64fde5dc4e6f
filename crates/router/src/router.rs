//! The router: its parts, and the futures that make it work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use fission_rpc::cache::{Change, ObjectKey};
use fission_rpc::endpoint::Index;
use fission_rpc::executor::Executor;
use fission_rpc::signing;
use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::conditions::Verdicts;
use crate::metrics::Metrics;
use crate::options::{BuildInfo, Options, Sources};
use crate::routes::planner::Planner;
use crate::routes::table::Table;
use crate::server::{self, Listener};
use crate::workers::Workers;

/// The data plane of one process.
pub struct Router {
    pub(crate) options: Options,
    pub(crate) table: ArcSwap<Table>,
    pub(crate) executor: Arc<dyn Executor>,
    /// Empty: internal requests are not signed.
    pub(crate) internal_keys: Vec<signing::Key>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) build: BuildInfo,
    sources: Sources,
    index: Arc<Index>,
    ready: AtomicBool,
    leaving: AtomicBool,
    verdicts: Verdicts,
    workers: OnceLock<Workers>,
}

impl Router {
    /// A router that knows no route until [`Self::follow`] runs. Without `internal_keys` the internal listener takes
    /// unsigned requests; the first key signs, the others are old ones still accepted.
    pub fn new(
        options: Options,
        sources: Sources,
        index: Arc<Index>,
        executor: Arc<dyn Executor>,
        internal_keys: Vec<signing::Key>,
        build: BuildInfo,
    ) -> Arc<Self> {
        Arc::new(Self {
            options,
            table: ArcSwap::default(),
            executor,
            internal_keys,
            metrics: Arc::default(),
            build,
            sources,
            index,
            ready: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            verdicts: Verdicts::default(),
            workers: OnceLock::new(),
        })
    }

    /// Keeps the route table current, by difference, for as long as it is polled.
    pub async fn follow(self: Arc<Self>) {
        let mut functions = self.sources.functions.subscribe();
        let mut triggers = self.sources.triggers.subscribe();
        self.sources.functions.synced().await;
        self.sources.triggers.synced().await;
        let mut planner = Planner::new(self.index.clone(), self.metrics.clone(), self.options.stream_idle);
        planner.replace_all(self.sources.functions.list(), self.sources.triggers.list());
        self.publish(&mut planner);
        self.ready.store(true, Ordering::Release);
        loop {
            let (function, trigger) = tokio::select! {
                change = functions.next() => (change, None),
                change = triggers.next() => (None, change),
                () = self.verdicts.begun() => {
                    self.verdicts.put(planner.judge_all());
                    continue;
                }
            };
            if function.is_none() && trigger.is_none() {
                return;
            }
            let (mut next_function, mut next_trigger) = (function, trigger);
            while next_function.is_some() || next_trigger.is_some() {
                if let Some(change) = next_function.take() {
                    self.take_function(&mut planner, change);
                }
                if let Some(change) = next_trigger.take() {
                    self.take_trigger(&mut planner, change);
                }
                next_function = functions.next().now_or_never().flatten();
                next_trigger = triggers.next().now_or_never().flatten();
            }
            self.publish(&mut planner);
            // The first change of a burst is taken up at once; what follows close behind is taken up together.
            tokio::time::sleep(self.options.table_debounce).await;
        }
    }

    fn take_function(&self, planner: &mut Planner, change: Change<fission_api::Function>) {
        match change {
            Change::Applied(function) => planner.apply_function(function),
            Change::Deleted(function) => planner.delete_function(&ObjectKey::of(&*function)),
            Change::Reread => planner.replace_all(self.sources.functions.list(), self.sources.triggers.list()),
        }
    }

    fn take_trigger(&self, planner: &mut Planner, change: Change<fission_api::HTTPTrigger>) {
        match change {
            Change::Applied(trigger) => planner.apply_trigger(trigger),
            Change::Deleted(trigger) => planner.delete_trigger(&ObjectKey::of(&*trigger)),
            Change::Reread => planner.replace_all(self.sources.functions.list(), self.sources.triggers.list()),
        }
    }

    fn publish(&self, planner: &mut Planner) {
        let table = planner.take_table();
        let result = if table.is_some() { "shape_changed" } else { "no_change" };
        if let Some(table) = table {
            self.table.store(Arc::new(table));
        }
        let table = self.table.load();
        self.metrics.applied(result, table.len(), table.functions());
        let verdicts = planner.take_verdicts(self.verdicts.are_written());
        self.verdicts.put(verdicts);
    }

    /// The threads that serve. The runtime that asks first is their home.
    pub(crate) fn workers(&self) -> &Workers {
        self.workers.get_or_init(|| Workers::start(self.options.threads))
    }

    /// Serves the routes of triggers until `shutdown`, then drains. Returns when everything is finished.
    pub async fn serve_public(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        server::serve(self, Listener::Public, listener, shutdown).await;
    }

    /// Serves functions by name until `shutdown`, then drains. Returns when everything is finished.
    pub async fn serve_internal(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        server::serve(self, Listener::Internal, listener, shutdown).await;
    }

    /// Writes into the status of triggers whether their routes are in force, for as long as it is polled.
    pub async fn report_conditions(self: Arc<Self>, client: kube::Client) {
        self.verdicts.write(client).await;
    }

    /// Adds everything the router counts.
    pub fn metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Asks clients with each answer from now on to connect anew, so that they go elsewhere by themselves. A connection that
    /// is closed without a word while its client sends the next request costs that request.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether clients are asked to go elsewhere.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether the first complete route table is in force.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}
