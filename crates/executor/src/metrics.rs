//! What the pool manager counts, under Fission's names.

use fission_api::Function;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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
    /// How long specialized instances lived.
    pub(crate) running: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            cold_starts: Family::default(),
            cold_start_errors: Family::default(),
            rejected: Family::default(),
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
    }
}

/// The labels of a function.
pub(crate) fn labels(function: &Function) -> Labels {
    vec![
        ("function_name", function.metadata.name.clone().unwrap_or_default()),
        ("function_namespace", function.metadata.namespace.clone().unwrap_or_default()),
    ]
}
