//! One function generation that was called (or keeps a minimum): its endpoints, its instances and those on their way.
//!
//! A group is retired when its generation is replaced or deleted, or when nothing of it is left. A retired group takes
//! no new requests; those that already wait are served by it, with the generation they asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_api::Function;
use fission_rpc::demand::ACTIVITY_PERIOD;
use fission_rpc::endpoint::{Endpoint, FunctionEndpoints, InstanceId, Lease};
use fission_rpc::refusal::Refusal;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::capacity::{Bounds, Load, to_start};
use crate::instance::Instance;
use crate::options::Options;
use crate::plan::Plan;
use crate::provisioned::Provisioned;
use crate::reports::Reports;

/// First pause before a minimum that could not be kept is tried again; it doubles with each failure.
const FLOOR_PAUSE: Duration = Duration::from_secs(5);
/// Longest such pause.
const FLOOR_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Shortest time between withdrawing an instance from routers in other processes and ending it: all of them have heard of
/// it by then and have said what they have in flight.
const RELEASE_AT_LEAST: Duration = ACTIVITY_PERIOD.saturating_mul(3);
/// How often it is looked whether they are done with it.
const RELEASE_LOOK: Duration = Duration::from_millis(100);

/// An instance that lived this long is not part of a crash loop.
const STABLE: Duration = Duration::from_secs(10);

/// What an instance on its way is being waited for; the newest one is named when a request's time runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Too many specializations on this machine.
    Turn,
    /// A generic instance, and the code.
    Instance,
    /// The environment loading the function.
    Load,
    /// The package's source being built.
    Build,
}

/// What became of a request that wanted to wait.
pub(crate) enum Joined {
    /// It waits; the answer comes here.
    Waiting(oneshot::Receiver<Result<Lease, Refusal>>),
    /// The queue is full.
    Full,
    /// The code was refused a moment ago and would be again.
    Refused(Refusal),
    /// This group takes no one any more; look for its successor.
    Retired,
}

/// One function generation.
pub(crate) struct Group {
    pub(crate) function: Arc<Function>,
    pub(crate) endpoints: Arc<FunctionEndpoints>,
    pub(crate) plan: Plan,
    /// What routers in other processes have for it.
    pub(crate) reports: Reports,
    /// Grows with whatever a router in another process waits for: an endpoint, a refusal, a successor.
    news: watch::Sender<u64>,
    /// Instances kept before anyone asks.
    pub(crate) provisioned: Provisioned,
    state: Mutex<State>,
}

struct State {
    pending: usize,
    stage: Stage,
    instances: HashMap<InstanceId, Arc<Instance>>,
    retired: bool,
    refused: Option<(Instant, Refusal)>,
    floor_failures: u32,
    floor_after: Option<Instant>,
    announced: bool,
    /// How often those who wait were refused, and with what last.
    refusals: (u64, Option<Refusal>),
}

impl State {
    /// Waits longer and longer before the minimum is tried to be kept again.
    fn slow_down(&mut self) {
        let pause = FLOOR_PAUSE.saturating_mul(1 << self.floor_failures.min(16)).min(FLOOR_PAUSE_MAX);
        self.floor_failures = self.floor_failures.saturating_add(1);
        self.floor_after = Some(Instant::now() + pause);
    }
}

/// One instance on its way. Dropping it says that it came or will not come.
pub(crate) struct Pending(Arc<Group>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.state().pending -= 1;
    }
}

impl Group {
    /// A group with nothing in it.
    pub(crate) fn new(function: Arc<Function>, endpoints: Arc<FunctionEndpoints>, plan: Plan) -> Arc<Self> {
        let state = State {
            pending: 0,
            stage: Stage::Turn,
            instances: HashMap::new(),
            retired: false,
            refused: None,
            floor_failures: 0,
            floor_after: None,
            announced: false,
            refusals: (0, None),
        };
        let (reports, news) = (Reports::default(), watch::Sender::new(0));
        let provisioned = Provisioned::default();
        Arc::new(Self { function, endpoints, plan, reports, news, provisioned, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request wait, if the group still takes requests and the queue has room.
    pub(crate) fn join(&self, max_queue: usize, refusal_memory: Duration) -> Joined {
        let state = self.state();
        if state.retired {
            return Joined::Retired;
        }
        if let Some((at, refusal)) = &state.refused
            && state.instances.is_empty()
            && at.elapsed() < refusal_memory
        {
            return Joined::Refused(refusal.clone());
        }
        if self.endpoints.demand().waiting >= max_queue && self.endpoints.prune_waiting() >= max_queue {
            return Joined::Full;
        }
        // Under the lock, so that nobody starts to wait after the group was retired.
        Joined::Waiting(self.endpoints.enqueue())
    }

    /// Decides how many instances to start now, and counts them as pending. `name_of`: the name routers know an instance by.
    pub(crate) fn start(
        self: &Arc<Self>,
        options: &Options,
        name_of: &dyn Fn(&InstanceId) -> Arc<str>,
    ) -> Vec<Pending> {
        let mut state = self.state();
        let mut start = self.missing(&state, options, name_of);
        if start > 0 {
            // Only now: those who went away are looked for only when it would change something.
            self.endpoints.prune_waiting();
            start = self.missing(&state, options, name_of);
        }
        state.pending += start;
        (0..start).map(|_| Pending(self.clone())).collect()
    }

    fn missing(&self, state: &State, options: &Options, name_of: &dyn Fn(&InstanceId) -> Arc<str>) -> usize {
        let demand = self.endpoints.demand();
        let endpoints = self.endpoints.endpoints();
        // What is in flight at an instance that takes no more ends there, and needs no other.
        let is_open = |name: &str| endpoints.iter().any(|one| !one.is_closed() && *name_of(&one.id) == *name);
        let floor_due = !state.retired && state.floor_after.is_none_or(|after| Instant::now() >= after);
        let load = Load {
            waiting: demand.waiting + self.reports.waiting(),
            // What is in flight in a retired group ends where it is.
            in_flight: if state.retired { 0 } else { demand.in_flight + self.reports.in_flight(is_open) },
            open: demand.endpoints,
            pending: state.pending,
            living: state.instances.len(),
        };
        let provisioned = self.provisioned.target();
        let bounds = Bounds {
            per_instance: self.plan.per_instance,
            most: self.plan.most,
            floor: if floor_due { self.plan.floor.max(provisioned) } else { 0 },
            eager: if provisioned > 0 { options.provisioned_pending } else { options.pending_per_function },
            pending: options.pending_per_function,
        };
        if state.retired && load.waiting == 0 { 0 } else { to_start(load, bounds) }
    }

    /// Whether an instance on its way is still of use: someone waits, or it is not made for callers.
    pub(crate) fn wanted(&self) -> bool {
        let retired = self.state().retired;
        let is_kept = !self.plan.pooled || self.endpoints.demand().endpoints < self.provisioned.target();
        (is_kept && !retired) || self.endpoints.prune_waiting() > 0 || self.reports.waiting() > 0
    }

    /// Whether an instance on its way is made although nobody waits for it.
    pub(crate) fn is_eager(&self) -> bool {
        self.provisioned.target() > 0 && self.nobody_waits()
    }

    /// Says what the newest instance on its way is waiting for.
    pub(crate) fn stage(&self, stage: Stage) {
        self.state().stage = stage;
    }

    /// Takes a specialized instance in and gives its slots to those who wait. Returns whether it is the group's first.
    pub(crate) fn add(&self, instance: Arc<Instance>, endpoint: Arc<Endpoint>) -> bool {
        let mut state = self.state();
        state.instances.insert(instance.id.clone(), instance);
        state.refused = None;
        let first = !std::mem::replace(&mut state.announced, true);
        drop(state);
        self.endpoints.add(endpoint);
        self.tell();
        first
    }

    /// Takes an instance's endpoint out of service; requests in flight go on.
    pub(crate) fn close(&self, id: &InstanceId) {
        self.endpoints.remove(id);
        self.tell();
    }

    /// Forgets an instance that is gone.
    pub(crate) fn forget(&self, id: &InstanceId) {
        self.close(id);
        self.state().instances.remove(id);
    }

    /// The specialized instances, newest first.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        let mut instances: Vec<_> = self.state().instances.values().cloned().collect();
        instances.sort_by_key(|instance| std::cmp::Reverse(instance.born));
        instances
    }

    /// One specialized instance.
    pub(crate) fn instance(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        self.state().instances.get(id).cloned()
    }

    /// Refuses everyone who waits, and remembers it for a while if the same code would be refused again.
    pub(crate) fn refuse(&self, refusal: &Refusal, remember: bool) {
        let mut state = self.state();
        if remember {
            state.refused = Some((Instant::now(), refusal.clone()));
        }
        state.slow_down();
        state.refusals = (state.refusals.0 + 1, Some(refusal.clone()));
        drop(state);
        self.endpoints.refuse_waiting(refusal);
        self.reports.refused();
        self.tell();
    }

    /// One of its instances ended by itself. One that ended soon is not replaced at once just to keep the minimum.
    pub(crate) fn lost(&self, instance: &Instance) {
        self.forget(&instance.id);
        let mut state = self.state();
        if instance.born.elapsed() < STABLE {
            state.slow_down();
        } else {
            state.floor_failures = 0;
        }
    }

    /// Lets code that was refused be tried again, because something it depends on changed.
    pub(crate) fn try_again(&self) {
        let mut state = self.state();
        state.refused = None;
        state.floor_failures = 0;
        state.floor_after = None;
    }

    /// Takes no new requests from now on.
    pub(crate) fn retire(&self) {
        self.state().retired = true;
        self.provisioned.clear();
        self.tell();
    }

    /// Whether it takes no new requests.
    pub(crate) fn is_retired(&self) -> bool {
        self.state().retired
    }

    fn tell(&self) {
        self.news.send_modify(|version| *version += 1);
    }

    /// Told of everything a router in another process waits for.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// How often those who wait were refused, and the last refusal.
    pub(crate) fn refusals(&self) -> (u64, Option<Refusal>) {
        self.state().refusals.clone()
    }

    /// The refusal that still holds for code that was refused a moment ago.
    pub(crate) fn refused_lately(&self, refusal_memory: Duration) -> Option<Refusal> {
        let state = self.state();
        let (at, refusal) = state.refused.as_ref()?;
        (state.instances.is_empty() && at.elapsed() < refusal_memory).then(|| refusal.clone())
    }

    /// Why instances that nobody waits for are not made at this moment.
    pub(crate) fn hindrance(&self) -> Option<String> {
        let state = self.state();
        let pauses = state.floor_after.is_some_and(|after| Instant::now() < after);
        state.refusals.1.as_ref().filter(|_| pauses).map(|refusal| refusal.message.clone())
    }

    /// Waits until no router in another process has requests in flight at an instance that was withdrawn, at most
    /// `limit`.
    pub(crate) async fn released(&self, name: &str, instance: &Instance, limit: Duration) {
        let started = Instant::now();
        while !instance.is_suspect()
            && (started.elapsed() < RELEASE_AT_LEAST || self.reports.in_flight_at(name) > 0)
            && started.elapsed() < limit.max(RELEASE_AT_LEAST)
        {
            tokio::time::sleep(RELEASE_LOOK).await;
        }
    }

    /// Whether nothing of it is left: no instance, none on its way, nobody waiting.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state();
        state.pending == 0 && state.instances.is_empty() && self.nobody_waits()
    }

    fn nobody_waits(&self) -> bool {
        self.endpoints.prune_waiting() == 0 && self.reports.waiting() == 0
    }

    /// Retires it if nothing of it is left and nothing has to be kept. Returns whether it did.
    pub(crate) fn retire_if_empty(&self) -> bool {
        let mut state = self.state();
        let floor = self.plan.floor.max(self.provisioned.target());
        let empty = state.pending == 0 && state.instances.is_empty() && floor == 0 && self.nobody_waits();
        state.retired |= empty;
        empty
    }

    /// What a request that got no slot in time was waiting for.
    /// `full`: which limit of this machine instances wait for.
    pub(crate) fn waited_for(&self, full: Option<String>) -> String {
        let state = self.state();
        let environment = &self.function.spec.environment.name;
        if state.pending == 0 {
            let Plan { most, most_field, .. } = self.plan;
            let waiting = self.endpoints.demand().waiting;
            return format!(
                "one of its {living} instances to be free (at most {most}, {most_field}; {waiting} other requests \
                 waiting)",
                living = state.instances.len(),
            );
        }
        match state.stage {
            Stage::Turn => "its turn: too many functions are being loaded on this machine".into(),
            Stage::Instance => {
                let full = full.map(|limit| format!("; {limit}")).unwrap_or_default();
                format!("an instance of environment {environment} to be ready{full}")
            }
            Stage::Build => format!(
                "package {package} to be built: fission package info --name {package} --follow",
                package = self.function.spec.package.package_ref.name
            ),
            Stage::Load => format!("environment {environment} to load the function"),
        }
    }
}
