//! Provisioned concurrency: instances that are loaded before anyone asks, and stay although nobody does.
//!
//! The target is how many open instances a function has at least. Those that callers made count as well, since the next
//! caller finds them; which of them are the kept ones matters to the reaper only. What the target is at this moment is a
//! pure decision ([`Asked`]); it is looked at when a function changes, at the edges of its windows, and every
//! [`crate::Options::provisioned_interval`]. The instances themselves come as any others do ([`crate::capacity`]), a few at
//! a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_api::function_options::{ProvisionedConcurrency, ProvisionedWindow};
use fission_api::{ExecutorType, Function, GoDuration, Schedule};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::FunctionKey;
use fission_rpc::instances::Phase;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::conditions::Counts;
use crate::group::Group;
use crate::instance::Instance;
use crate::metrics;
use crate::plan::count;
use crate::policy::Policy;

/// Shortest pause between two looks: an edge that is reached is behind the clock by then.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// What a group keeps, and what was said of it.
#[derive(Default)]
pub(crate) struct Provisioned {
    target: AtomicUsize,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// None: it was never asked for.
    wanted: Option<Wanted>,
    said: Option<(Counts, Verdict)>,
}

/// What is to be kept, and why it is not what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    asked: usize,
    target: usize,
    /// Whether a setting says that nothing is kept.
    disabled: bool,
    /// The limit that made it less.
    clamped: Option<String>,
    /// Windows that cannot be read, and why.
    ignored: Vec<String>,
}

/// What the condition says: whether it holds, its reason, its message.
type Verdict = (bool, &'static str, String);

impl Provisioned {
    /// Instances kept.
    pub(crate) fn target(&self) -> usize {
        self.target.load(Ordering::Relaxed)
    }

    /// Keeps nothing from now on.
    pub(crate) fn clear(&self) {
        self.target.store(0, Ordering::Relaxed);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether something else was asked for before, which within a generation is the work of a window.
    fn set(&self, wanted: Wanted) -> bool {
        let mut told = self.told();
        self.target.store(wanted.target, Ordering::Relaxed);
        let asked = wanted.asked;
        told.wanted.replace(wanted).is_some_and(|before| before.asked != asked)
    }
}

/// What a function asks for at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    instances: usize,
    ignored: Vec<String>,
    /// When that may change by itself.
    edge: Option<Timestamp>,
}

impl Asked {
    /// The most any window asks for that is open now, else the target outside all windows.
    fn at(block: &ProvisionedConcurrency, now: &Zoned) -> Self {
        let mut asked = Self::default();
        let mut open: Option<usize> = None;
        for window in &block.windows {
            let (opens, length) = match read(window) {
                Ok(read) => read,
                Err(why) => {
                    asked.ignored.push(format!("window {} is ignored: {why}", window.name));
                    continue;
                }
            };
            let (time, zone) = (now.timestamp(), now.time_zone());
            let mut edges = vec![opens.after(time, zone)];
            if let Some(since) = opens.within(length, time, zone) {
                open = open.max(Some(count(window.target)));
                let length = SignedDuration::try_from(length).ok();
                edges.push(length.and_then(|length| since.checked_add(length).ok()));
            }
            asked.edge = edges.into_iter().chain([asked.edge]).flatten().min();
        }
        asked.instances = open.unwrap_or_else(|| count(block.target));
        asked
    }
}

/// When a window opens, and for how long.
fn read(window: &ProvisionedWindow) -> Result<(Schedule, Duration), String> {
    let opens = window.start.parse::<Schedule>().map_err(|error| format!("start {error}"))?;
    let length = window.duration.parse::<GoDuration>().map_err(|error| format!("duration {error}"))?;
    Ok((opens, length.to_std()))
}

impl Wanted {
    fn of(asked: &Asked, function: &Function, policy: &Policy) -> Self {
        let options = &policy.options;
        let concurrency = count(function.spec.concurrency());
        let limits = [
            (options.provisioned_per_function, "EXECUTOR_PROVISIONED_MAX_PER_FUNCTION"),
            (concurrency, "spec.concurrency"),
        ];
        let (most, name) = limits.into_iter().min_by_key(|(most, _)| *most).unwrap_or_default();
        let clamped =
            (asked.instances > most).then(|| format!("{} asked for, over the limit {name} = {most}", asked.instances));
        let target = if options.provisioned { asked.instances.min(most) } else { 0 };
        let (asked, ignored) = (asked.instances, asked.ignored.clone());
        Self { asked, target, disabled: !options.provisioned, clamped, ignored }
    }

    fn counts(&self, ready: usize) -> Counts {
        Counts { ready, target: self.target, asked: self.asked }
    }

    fn verdict(&self, ready: usize, hindrance: Option<String>) -> Verdict {
        let (holds, reason, mut parts) = if self.disabled {
            let why = "not kept here: EXECUTOR_PROVISIONED_CONCURRENCY_ENABLED is false".to_owned();
            (false, "ProvisionedDisabled", vec![why])
        } else if ready < self.target {
            let mut parts = vec![format!("some of {} provisioned instances are not ready yet", self.target)];
            parts.extend(hindrance);
            (false, "ProvisionedWarming", parts)
        } else if self.clamped.is_some() {
            (true, "ProvisionedClamped", Vec::new())
        } else {
            (true, "ProvisionedSatisfied", vec![format!("{} provisioned instances are ready", self.target)])
        };
        parts.extend(self.clamped.clone().filter(|_| !self.disabled));
        parts.extend(self.ignored.iter().cloned());
        (holds, reason, parts.join("; "))
    }
}

/// Keeps what functions ask for, until dropped.
pub(crate) async fn follow(policy: &Arc<Policy>) {
    loop {
        let now = policy.options.clock.now();
        let edge = look(policy, &now);
        let until = |edge: Timestamp| Duration::try_from(edge.duration_since(now.timestamp())).unwrap_or_default();
        let interval = policy.options.provisioned_interval;
        let pause = edge.map_or(interval, until).min(interval).max(SHORTEST_PAUSE);
        tokio::select! {
            () = policy.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = policy.provisioning.notified() => {}
        }
    }
}

/// A function was declared: it is looked at soon if it asks for something, or did.
pub(crate) fn declared(policy: &Policy, function: &Function) {
    if function.spec.provisioned_concurrency.is_some() || says_something(function) {
        policy.provisioning.notify_one();
    }
}

/// Looks at all functions. Returns when the first window opens or closes.
fn look(policy: &Arc<Policy>, now: &Zoned) -> Option<Timestamp> {
    let mut edge = None;
    for function in policy.declared.functions.list() {
        let pooled = matches!(function.spec.executor_type(), ExecutorType::Unset | ExecutorType::Poolmgr);
        match function.spec.provisioned_concurrency.as_ref().filter(|_| pooled) {
            Some(block) => {
                let asked = Asked::at(block, now);
                edge = edge.into_iter().chain(asked.edge).min();
                keep(policy, &function, Wanted::of(&asked, &function, policy));
            }
            None if says_something(&function) => {
                policy.metrics.forget_provisioned(&function);
                policy.conditions.provisioned(&function, Counts::default(), None);
            }
            None => {}
        }
    }
    // What was replaced or deleted while it was looked at.
    for group in policy.groups().iter().filter(|group| group.provisioned.target() > 0) {
        let declared = policy.declared.functions.get(&ObjectKey::of(group.function.as_ref()));
        if declared.is_none_or(|declared| FunctionKey::of(&declared) != *group.endpoints.key()) {
            group.provisioned.clear();
            balance(policy, group);
        }
    }
    edge
}

fn keep(policy: &Arc<Policy>, function: &Arc<Function>, wanted: Wanted) {
    let known = policy.known_group(&FunctionKey::of(function));
    let group = match known {
        Some(group) => group,
        // Nothing is kept and nothing is there: no group is made to say so.
        None if wanted.target == 0 => {
            let (counts, (holds, reason, why)) = (wanted.counts(0), wanted.verdict(0, None));
            if !says(function, counts, reason) {
                policy.conditions.provisioned(function, counts, Some((holds, reason, &why)));
            }
            return;
        }
        None => match policy.group(function, || policy.index.group(function)) {
            Ok(group) => group,
            Err(refusal) => {
                tracing::warn!(function = %ObjectKey::of(function.as_ref()), %refusal, "not provisioned");
                return;
            }
        },
    };
    if group.provisioned.set(wanted) {
        policy.metrics.transitions.get_or_create_owned(&metrics::labels(function)).inc();
    }
    policy.scale(&group);
}

/// Whether the status has numbers or a condition.
fn says_something(function: &Function) -> bool {
    function.status.as_ref().is_some_and(|status| {
        let has_condition = status.conditions.iter().any(|condition| condition.type_ == "Provisioned");
        has_condition || status.provisioned_target > 0 || status.provisioned_spec_target > 0
    })
}

fn says(function: &Function, counts: Counts, reason: &str) -> bool {
    function.status.as_ref().is_some_and(|status| {
        let numbers = [status.provisioned_ready, status.provisioned_target, status.provisioned_spec_target];
        let same = status.conditions.iter().any(|known| known.type_ == "Provisioned" && known.reason == reason);
        same && numbers.map(count) == [counts.ready, counts.target, counts.asked]
    })
}

/// Marks as many open instances as are to be kept, takes the mark of the oldest where there are too many, and tells.
pub(crate) fn balance(policy: &Arc<Policy>, group: &Arc<Group>) {
    let mut told = group.provisioned.told();
    let target = group.provisioned.target();
    let Some(wanted) = told.wanted.clone() else { return };
    let open: Vec<Arc<Instance>> = group
        .instances()
        .into_iter()
        .filter(|instance| instance.phase() == Phase::Specialized)
        .filter(|instance| instance.loaded().is_some_and(|loaded| !loaded.endpoint.is_closed()))
        .collect();
    let (kept, others): (Vec<_>, Vec<_>) = open.iter().partition(|instance| instance.is_provisioned());
    for oldest in kept.iter().rev().take(kept.len().saturating_sub(target)) {
        mark(policy, oldest, false);
    }
    for newest in others.iter().take(target.saturating_sub(kept.len())) {
        mark(policy, newest, true);
    }
    if group.is_retired() || target != wanted.target {
        return;
    }
    let ready = open.len().min(target);
    let now = (wanted.counts(ready), wanted.verdict(ready, group.hindrance()));
    if told.said.as_ref() != Some(&now) {
        let (counts, (holds, reason, why)) = &now;
        policy.conditions.provisioned(&group.function, *counts, Some((*holds, reason, why)));
        let labels = metrics::labels(&group.function);
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        policy.metrics.provisioned_target.get_or_create_owned(&labels).set(number(counts.target));
        policy.metrics.provisioned_ready.get_or_create_owned(&labels).set(number(counts.ready));
        told.said = Some(now);
    }
}

fn mark(policy: &Arc<Policy>, instance: &Arc<Instance>, provisioned: bool) {
    instance.set_provisioned(provisioned);
    let (backend, instance) = (policy.backend.clone(), instance.clone());
    // What it is by then: of two changes in a row the last one counts.
    policy.tasks.spawn(async move { backend.provisioned(&instance.id, instance.is_provisioned()).await });
}

#[cfg(test)]
#[path = "provisioned_tests.rs"]
mod tests;
