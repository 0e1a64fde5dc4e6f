//! Endpoints of functions: addresses of specialized instances, with the count of requests each is serving.
//!
//! One [`FunctionEndpoints`] exists per function generation and is shared by the router, which admits requests, and the
//! executor, which adds instances and closes idle ones. The invariants:
//!
//! * an endpoint never has more than `limit` requests in flight, and none starts after it was closed: both are decided
//!   by one compare-and-swap on one word, so a request and a reaper can never both win;
//! * while anyone waits, no newcomer takes a slot: a freed slot goes to the oldest waiter;
//! * a slot is given back exactly once, when its [`Lease`] is dropped.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fission_api::ExecutorType;
use tokio::sync::{Notify, oneshot};

use crate::local::Local;
use crate::refusal::Refusal;

/// Set in an endpoint's counter when it admits no one any more; the lower bits still count requests in flight.
const CLOSED: u32 = 1 << 31;

/// Most requests in flight to one instance of a function that is scaled by load (`newdeploy`, `container`). There
/// `requestsPerPod` says when to scale out and does not bound an instance, as behind a Kubernetes Service.
pub const SCALED_REQUESTS_PER_INSTANCE: u32 = 1_000;

/// Identifies one instance for as long as the platform knows of it. Also the name of its pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub Arc<str>);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an instance listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A unix socket on this machine.
    Unix(PathBuf),
    /// An address and port.
    Tcp(SocketAddr),
    /// In this process.
    Local(Local),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(address) => address.fmt(f),
            Address::Local(_) => f.write_str("in-process"),
        }
    }
}

/// A function as the data plane knows it: requests of one generation never reach an instance of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionKey {
    /// `metadata.uid` of the Function.
    pub uid: String,
    /// `metadata.generation` of the Function.
    pub generation: i64,
}

impl FunctionKey {
    /// The key of a stored function.
    pub fn of(function: &fission_api::Function) -> Self {
        Self {
            uid: function.metadata.uid.clone().unwrap_or_default(),
            generation: function.metadata.generation.unwrap_or_default(),
        }
    }
}

/// One specialized instance that requests can be sent to.
pub struct Endpoint {
    /// The instance behind it.
    pub id: InstanceId,
    /// Where it listens.
    pub address: Address,
    /// Room for the router's connection pool to this instance, so that the warm path looks nothing up.
    pub transport: OnceLock<Box<dyn Any + Send + Sync>>,
    in_flight: AtomicU32,
    last_used_ms: AtomicU64,
    served: AtomicU64,
    drained: Notify,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("address", &self.address)
            .field("in_flight", &self.in_flight())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Endpoint {
    /// An open endpoint with nothing in flight.
    pub fn new(id: InstanceId, address: Address) -> Arc<Self> {
        Arc::new(Self {
            id,
            address,
            transport: OnceLock::new(),
            in_flight: AtomicU32::new(0),
            last_used_ms: AtomicU64::new(now_ms()),
            served: AtomicU64::new(0),
            drained: Notify::new(),
        })
    }

    /// Requests it is serving now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst) & !CLOSED
    }

    /// Requests it has finished.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether it admits no one any more.
    pub fn is_closed(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// How long ago it last finished a request, or was made.
    pub fn idle_for(&self) -> Duration {
        if self.in_flight() > 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(now_ms().saturating_sub(self.last_used_ms.load(Ordering::Relaxed)))
    }

    /// Says that it is in use, by someone whose requests are not counted here.
    pub fn touch(&self) {
        self.last_used_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Closes it if nothing is in flight. Returns whether it is now closed by this call.
    pub fn close_if_idle(&self) -> bool {
        let closed = self.in_flight.compare_exchange(0, CLOSED, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if closed {
            self.drained.notify_waiters();
        }
        closed
    }

    /// Admits no one from now on; requests in flight go on. Returns false if it was closed before.
    pub fn close(&self) -> bool {
        let before = self.in_flight.fetch_or(CLOSED, Ordering::SeqCst);
        if before == 0 {
            self.drained.notify_waiters();
        }
        before & CLOSED == 0
    }

    /// Waits until it is closed and nothing is in flight.
    pub async fn drained(&self) {
        loop {
            let notified = self.drained.notified();
            if self.in_flight.load(Ordering::SeqCst) == CLOSED {
                return;
            }
            notified.await;
        }
    }

    /// Takes a slot if fewer than `limit` are taken and it is open.
    fn try_admit(&self, limit: u32, once: bool) -> bool {
        let mut current = self.in_flight.load(Ordering::Relaxed);
        loop {
            if current >= limit {
                return false; // full, or CLOSED, which is above every limit
            }
            let next = if once { (current + 1) | CLOSED } else { current + 1 };
            match self.in_flight.compare_exchange_weak(current, next, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
    }

    fn release(&self) {
        self.last_used_ms.store(now_ms(), Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == CLOSED + 1 {
            self.drained.notify_waiters();
        }
    }
}

/// The right to send one request to one endpoint. Dropping it gives the slot back.
#[derive(Debug)]
pub struct Lease {
    endpoint: Arc<Endpoint>,
    group: Arc<FunctionEndpoints>,
}

impl Lease {
    /// The endpoint to send the request to.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.release();
        if self.group.waiting.load(Ordering::SeqCst) > 0 {
            self.group.hand_over();
        }
    }
}

/// How much one function is asked for, and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Requests waiting for a slot.
    pub waiting: usize,
    /// Open endpoints.
    pub endpoints: usize,
    /// Requests in flight on open endpoints.
    pub in_flight: usize,
}

/// All endpoints of one function generation, and the requests waiting for one.
pub struct FunctionEndpoints {
    key: FunctionKey,
    limit: u32,
    once: bool,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    waiting: AtomicUsize,
    waiters: Mutex<VecDeque<oneshot::Sender<Result<Lease, Refusal>>>>,
}

impl fmt::Debug for FunctionEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionEndpoints").field("key", &self.key).field("demand", &self.demand()).finish()
    }
}

impl FunctionEndpoints {
    /// An empty group whose endpoints take `limit` requests each at once, or exactly one ever when `once`.
    pub fn new(key: FunctionKey, limit: u32, once: bool) -> Arc<Self> {
        Arc::new(Self {
            key,
            limit: limit.clamp(1, CLOSED - 1),
            once,
            endpoints: ArcSwap::default(),
            waiting: AtomicUsize::new(0),
            waiters: Mutex::default(),
        })
    }

    /// The function generation served.
    pub fn key(&self) -> &FunctionKey {
        &self.key
    }

    /// Requests one endpoint takes at once.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The endpoints now in the group, closed ones not yet removed included.
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// What is asked for and what there is.
    pub fn demand(&self) -> Demand {
        let endpoints = self.endpoints.load();
        let open = endpoints.iter().filter(|endpoint| !endpoint.is_closed());
        let (count, in_flight) =
            open.fold((0, 0), |(count, sum), endpoint| (count + 1, sum + endpoint.in_flight() as usize));
        Demand { waiting: self.waiting.load(Ordering::SeqCst), endpoints: count, in_flight }
    }

    /// Admits a request at once if an endpoint has room and no one waits. The warm path: no lock, no allocation.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Lease> {
        if self.waiting.load(Ordering::SeqCst) > 0 { None } else { self.take_slot() }
    }

    /// Joins the queue. The receiver gets a lease, or the refusal given to [`Self::refuse_waiting`]; dropping it leaves
    /// the queue. When a slot is free the answer is there at once.
    pub fn enqueue(self: &Arc<Self>) -> oneshot::Receiver<Result<Lease, Refusal>> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
            waiters.push_back(sender);
            // SeqCst pairs with `Lease::drop`: either that sees us waiting, or `hand_over` below sees its slot.
            self.waiting.store(waiters.len(), Ordering::SeqCst);
        }
        self.hand_over();
        receiver
    }

    /// Adds an endpoint and gives its slots to those who wait.
    pub fn add(self: &Arc<Self>, endpoint: Arc<Endpoint>) {
        self.endpoints.rcu(|current| {
            let mut next = Vec::with_capacity(current.len() + 1);
            next.extend(current.iter().cloned());
            next.push(endpoint.clone());
            next
        });
        self.hand_over();
    }

    /// Removes an endpoint from the group and closes it. Requests in flight keep their leases.
    pub fn remove(&self, id: &InstanceId) -> Option<Arc<Endpoint>> {
        let found = self.endpoints.load().iter().find(|endpoint| endpoint.id == *id).cloned()?;
        found.close();
        self.endpoints.rcu(|current| current.iter().filter(|other| other.id != *id).cloned().collect::<Vec<_>>());
        Some(found)
    }

    /// Refuses everyone who waits now, each with its own copy of the refusal.
    pub fn refuse_waiting(&self, refusal: &Refusal) {
        let waiters = {
            let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
            self.waiting.store(0, Ordering::SeqCst);
            std::mem::take(&mut *waiters)
        };
        for waiter in waiters {
            let _ = waiter.send(Err(refusal.clone()));
        }
    }

    /// Forgets waiters that went away. Returns how many still wait.
    pub fn prune_waiting(&self) -> usize {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.retain(|waiter| !waiter.is_closed());
        self.waiting.store(waiters.len(), Ordering::SeqCst);
        waiters.len()
    }

    /// Least outstanding first; the scan is short because a function has few endpoints.
    fn take_slot(self: &Arc<Self>) -> Option<Lease> {
        let endpoints = self.endpoints.load();
        loop {
            let best = endpoints
                .iter()
                .map(|endpoint| (endpoint.in_flight.load(Ordering::SeqCst), endpoint))
                .filter(|(in_flight, _)| *in_flight < self.limit)
                .min_by_key(|(in_flight, _)| *in_flight)?;
            if best.1.try_admit(self.limit, self.once) {
                return Some(Lease { endpoint: best.1.clone(), group: self.clone() });
            }
        }
    }

    fn hand_over(self: &Arc<Self>) {
        loop {
            let (waiter, lease) = {
                let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
                while waiters.front().is_some_and(oneshot::Sender::is_closed) {
                    waiters.pop_front();
                }
                self.waiting.store(waiters.len(), Ordering::SeqCst);
                if waiters.is_empty() {
                    return;
                }
                let Some(lease) = self.take_slot() else { return };
                let Some(waiter) = waiters.pop_front() else { return };
                self.waiting.store(waiters.len(), Ordering::SeqCst);
                (waiter, lease)
            };
            // Outside the lock: a waiter that just went away drops the lease, which comes back here.
            drop(waiter.send(Ok(lease)));
        }
    }
}

/// Every function generation that has, had or wants endpoints.
#[derive(Debug, Default)]
pub struct Index {
    groups: Mutex<HashMap<FunctionKey, Arc<FunctionEndpoints>>>,
}

impl Index {
    /// The group of a function as stored, made on first use. Callers keep the `Arc`; this is not for the warm path.
    pub fn group(&self, function: &fission_api::Function) -> Arc<FunctionEndpoints> {
        let key = FunctionKey::of(function);
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups
            .entry(key.clone())
            .or_insert_with(|| {
                let limit = match function.spec.executor_type() {
                    ExecutorType::Newdeploy | ExecutorType::Container => SCALED_REQUESTS_PER_INSTANCE,
                    _ => u32::try_from(function.spec.requests_per_pod()).unwrap_or(u32::MAX),
                };
                FunctionEndpoints::new(key, limit, function.spec.once_only)
            })
            .clone()
    }

    /// Every group there is.
    pub fn groups(&self) -> Vec<Arc<FunctionEndpoints>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets a group. Holders of its `Arc` keep it; new lookups make a new one.
    pub fn forget(&self, key: &FunctionKey) -> Option<Arc<FunctionEndpoints>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

/// Milliseconds since the process first asked.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
