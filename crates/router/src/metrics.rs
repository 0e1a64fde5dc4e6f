//! What the router counts. Handles are found when routes are made; a request only adds to atomics.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fission_rpc::cache::ObjectKey;
use fission_rpc::refusal::Component;
use http::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::routes::methods;

/// Upper bounds of the histogram of seconds; Prometheus' defaults, which dashboards expect.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Status codes counted one by one for one function, path and method; further ones are counted as `other`.
const CODES: usize = 15;
/// Known methods, and one place for all others.
const METHODS: usize = methods::NAMES.len() + 1;

/// Counts of the calls of one function through one path.
#[derive(Debug)]
pub(crate) struct CallStats {
    function: ObjectKey,
    path: Arc<str>,
    by_method: [OnceLock<Box<MethodStats>>; METHODS],
}

#[derive(Debug, Default)]
struct MethodStats {
    /// A code takes the first free place when it is first seen, and keeps it.
    codes: [(AtomicU16, AtomicU64); CODES],
    other: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl CallStats {
    /// Counts one call. `until_head` is the time until the response headers were there.
    pub(crate) fn count(&self, method: &Method, status: u16, until_head: Duration) {
        let stats = self.by_method[methods::index(method).unwrap_or(METHODS - 1)].get_or_init(Box::default);
        stats.code(status).fetch_add(1, Ordering::Relaxed);
        let seconds = until_head.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        stats.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(until_head.as_nanos()).unwrap_or(u64::MAX);
        stats.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn labels(&self, method: usize) -> [(&'static str, &str); 5] {
        [
            ("function_namespace", &self.function.namespace),
            ("function_name", &self.function.name),
            ("function_version", ""),
            ("path", &self.path),
            ("method", methods::NAMES.get(method).copied().unwrap_or("other")),
        ]
    }

    fn methods(&self) -> impl Iterator<Item = (usize, &MethodStats)> {
        self.by_method.iter().enumerate().filter_map(|(method, stats)| Some((method, &**stats.get()?)))
    }
}

impl MethodStats {
    fn code(&self, status: u16) -> &AtomicU64 {
        for (code, count) in &self.codes {
            let there = code.load(Ordering::Relaxed);
            if there == status {
                return count;
            }
            if there == 0 {
                match code.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return count,
                    Err(other) if other == status => return count,
                    Err(_) => {}
                }
            }
        }
        &self.other
    }

    fn counts(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        let known = self.codes.iter().map(|(code, count)| (Some(code.load(Ordering::Relaxed)), count));
        let all = known.chain(std::iter::once((None, &self.other)));
        all.map(|(code, count)| (code, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    component: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApplyLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// Everything the router counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    calls: Arc<Calls>,
    failures: Family<FailureLabels, Counter>,
    applies: Family<ApplyLabels, Counter>,
    routes: Family<ListenerLabels, Gauge>,
}

impl Metrics {
    /// The counts of one function and path; the same for as long as anyone holds them.
    pub(crate) fn calls(&self, function: &ObjectKey, path: &Arc<str>) -> Arc<CallStats> {
        let mut all = self.calls.lock();
        if all.len() == all.capacity() {
            // About to grow: let go of what no route holds any more, in case no one ever asks for these counts.
            all.retain(|_, stats| Arc::strong_count(stats) > 1);
        }
        let stats = all.entry((function.clone(), path.clone())).or_insert_with(|| {
            Arc::new(CallStats { function: function.clone(), path: path.clone(), by_method: Default::default() })
        });
        stats.clone()
    }

    /// Counts a call that failed, or was given up by its sender.
    pub(crate) fn failure(&self, component: Component, reason: &'static str) {
        self.failures.get_or_create(&FailureLabels { component: component.as_str(), reason }).inc();
    }

    /// Counts a change of the table and notes its size.
    pub(crate) fn applied(&self, result: &'static str, public: usize, internal: usize) {
        self.applies.get_or_create(&ApplyLabels { result }).inc();
        for (listener, count) in [("public", public), ("internal", internal)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.routes.get_or_create(&ListenerLabels { listener }).set(count);
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.calls.clone()));
        registry.register(
            "fission_invocation_failures",
            "Calls that failed on the platform's side, by the component and reason the caller was told",
            self.failures.clone(),
        );
        registry.register(
            "fission_router_route_table_applies",
            "Changes taken up by the route table, by what they changed",
            self.applies.clone(),
        );
        registry.register("fission_router_routes", "Routes known, by listener", self.routes.clone());
    }
}

/// All call counts, written out when they are asked for.
#[derive(Debug, Default)]
struct Calls(Mutex<ByFunctionAndPath>);

type ByFunctionAndPath = HashMap<(ObjectKey, Arc<str>), Arc<CallStats>>;

impl Calls {
    fn lock(&self) -> std::sync::MutexGuard<'_, ByFunctionAndPath> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let all: Vec<Arc<CallStats>> = {
            let mut all = self.lock();
            // Counts of routes that are gone are told of no more.
            all.retain(|_, stats| Arc::strong_count(stats) > 1);
            all.values().cloned().collect()
        };
        encode_codes(&mut encoder, &all, "fission_function_calls", "Calls of functions", |_| true)?;
        let failed = |code: Option<u16>| code.is_none_or(|code| code >= 400);
        encode_codes(&mut encoder, &all, "fission_function_errors", "Calls answered with status 400 or above", failed)?;
        let mut family = encoder.encode_descriptor(
            "fission_function_overhead_seconds",
            "Time from the request to the response headers, the function's own time included",
            None,
            MetricType::Histogram,
        )?;
        for stats in &all {
            for (method, counts) in stats.methods() {
                let count = |bucket: usize| counts.buckets[bucket].load(Ordering::Relaxed);
                let bounds = BOUNDS.iter().copied().chain(std::iter::once(f64::MAX));
                let buckets: Vec<_> = bounds.enumerate().map(|(bucket, bound)| (bound, count(bucket))).collect();
                let total = buckets.iter().map(|(_, count)| count).sum();
                let sum = Duration::from_nanos(counts.nanos.load(Ordering::Relaxed)).as_secs_f64();
                let labels = stats.labels(method);
                family.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(sum, total, &buckets, None)?;
            }
        }
        Ok(())
    }
}

fn encode_codes(
    encoder: &mut DescriptorEncoder,
    all: &[Arc<CallStats>],
    name: &str,
    help: &str,
    wanted: impl Fn(Option<u16>) -> bool,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for stats in all {
        for (method, counts) in stats.methods() {
            for (code, count) in counts.counts().filter(|(code, _)| wanted(*code)) {
                let code = code.map_or_else(|| "other".to_owned(), |code| code.to_string());
                let [namespace, function, version, path, method] = stats.labels(method);
                let labels = [namespace, function, version, path, method, ("code", code.as_str())];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
