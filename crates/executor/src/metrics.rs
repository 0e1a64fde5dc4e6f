//! What the pool manager counts, under Fission's names.

use fission_api::Function;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Name and value of each label.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// The counters. Entries of a function are made when it is first called and dropped when it is deleted.
pub(crate) struct Metrics {
    /// Specializations that gave an endpoint.
    pub(crate) cold_starts: Family<Labels, Counter>,
    /// Specializations that failed for good.
    pub(crate) cold_start_errors: Family<Labels, Counter>,
    /// Requests refused because the queue was full.
    pub(crate) rejected: Family<Labels, Counter>,
    /// Provisioned instances aimed at.
    pub(crate) provisioned_target: Family<Labels, Gauge>,
    /// Those that are ready.
    pub(crate) provisioned_ready: Family<Labels, Gauge>,
    /// Specializations nobody waited for, by outcome.
    pub(crate) eager: Family<Labels, Counter>,
    /// Changes of what is asked for that a window made.
    pub(crate) transitions: Family<Labels, Counter>,
    /// How long specialized instances lived.
    pub(crate) running: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            cold_starts: Family::default(),
            cold_start_errors: Family::default(),
            rejected: Family::default(),
            provisioned_target: Family::default(),
            provisioned_ready: Family::default(),
            eager: Family::default(),
            transitions: Family::default(),
            // 1 s to about 9 hours.
            running: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 16))),
        }
    }
}

impl Metrics {
    /// Hands the counters to whoever serves them. `_total` is added by the encoder.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "fission_function_cold_starts",
            "Specializations that made an endpoint of a function",
            self.cold_starts.clone(),
        );
        registry.register(
            "fission_function_cold_start_errors",
            "Specializations that failed for good",
            self.cold_start_errors.clone(),
        );
        registry.register(
            "fission_executor_specializations_rejected",
            "Requests refused because too many were waiting",
            self.rejected.clone(),
        );
        registry.register(
            "fission_provisioned_target",
            "Instances to be kept for a function before anyone asks",
            self.provisioned_target.clone(),
        );
        registry.register(
            "fission_provisioned_ready",
            "Instances kept for a function before anyone asks",
            self.provisioned_ready.clone(),
        );
        registry.register(
            "fission_provisioned_eager_specializations",
            "Specializations that nobody waited for",
            self.eager.clone(),
        );
        registry.register(
            "fission_provisioned_window_transitions",
            "Changes of what a function keeps that a window made",
            self.transitions.clone(),
        );
        registry.register(
            "fission_function_running_seconds",
            "How long specialized instances lived",
            self.running.clone(),
        );
    }

    /// Drops the entries of a deleted function.
    pub(crate) fn forget(&self, function: &Function) {
        let labels = labels(function);
        self.cold_starts.remove(&labels);
        self.cold_start_errors.remove(&labels);
        self.rejected.remove(&labels);
        self.running.remove(&labels);
        self.transitions.remove(&labels);
        for outcome in [SUCCESS, FAILURE] {
            self.eager.remove(&with_outcome(function, outcome));
        }
        self.forget_provisioned(function);
    }

    /// Drops the numbers of a function that keeps nothing any more.
    pub(crate) fn forget_provisioned(&self, function: &Function) {
        let labels = labels(function);
        self.provisioned_target.remove(&labels);
        self.provisioned_ready.remove(&labels);
    }
}

/// Outcome of what worked.
pub(crate) const SUCCESS: &str = "success";
/// Outcome of what did not.
pub(crate) const FAILURE: &str = "failure";

/// The labels of a function, and how something ended.
pub(crate) fn with_outcome(function: &Function, outcome: &'static str) -> Labels {
    let mut labels = labels(function);
    labels.push(("outcome", outcome.to_owned()));
    labels
}

/// The labels of a function.
pub(crate) fn labels(function: &Function) -> Labels {
    vec![
        ("function_name", function.metadata.name.clone().unwrap_or_default()),
        ("function_namespace", function.metadata.namespace.clone().unwrap_or_default()),
    ]
}
