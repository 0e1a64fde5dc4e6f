//! Functions as requests need them: everything a call uses, resolved once when the function changes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fission_api::Function;
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::FunctionEndpoints;
use http::HeaderValue;

use crate::metrics::{CallStats, Metrics};

/// Longest time a function may be given, so that adding it to a point in time cannot overflow: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where the current state of one function is found; stays the same while the function changes, goes and comes back.
#[derive(Debug, Default)]
pub(crate) struct FunctionSlot {
    backend: ArcSwapOption<Backend>,
}

impl FunctionSlot {
    pub(crate) fn load(&self) -> Option<Arc<Backend>> {
        self.backend.load_full()
    }

    pub(crate) fn exists(&self) -> bool {
        self.backend.load().is_some()
    }

    /// Returns whether it existed before.
    pub(crate) fn set(&self, backend: Option<Arc<Backend>>) -> bool {
        self.backend.swap(backend).is_some()
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    /// From sending the request to the end of the response body.
    Whole(Duration),
    /// A streaming function: silence is limited, and the whole only if the user said so.
    Stream {
        /// Longest silence of the function.
        idle: Duration,
        /// Longest duration of the whole call.
        whole: Option<Duration>,
    },
}

/// One generation of a function.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) key: ObjectKey,
    pub(crate) function: Arc<Function>,
    pub(crate) endpoints: Arc<FunctionEndpoints>,
    /// Longest wait for an instance.
    pub(crate) admit_timeout: Duration,
    pub(crate) time_limit: TimeLimit,
    pub(crate) uid: HeaderValue,
    pub(crate) name: HeaderValue,
    pub(crate) namespace: HeaderValue,
    pub(crate) resource_version: HeaderValue,
    /// Counts of calls by name, not by route.
    pub(crate) internal_stats: Arc<CallStats>,
}

impl Backend {
    pub(crate) fn new(
        function: Arc<Function>,
        endpoints: Arc<FunctionEndpoints>,
        stream_idle: Duration,
        metrics: &Metrics,
    ) -> Self {
        let key = ObjectKey::of(function.as_ref());
        let internal_path = format!("/fission-function/{key}").into();
        let meta = &function.metadata;
        let text = |value: &Option<String>| {
            // Metadata is validated to plain ASCII; anything else is not worth failing a request for.
            HeaderValue::from_str(value.as_deref().unwrap_or_default()).unwrap_or(HeaderValue::from_static(""))
        };
        let timeout = seconds(function.spec.timeout_seconds()).unwrap_or(LONGEST);
        let time_limit = match &function.spec.streaming {
            None => TimeLimit::Whole(timeout),
            Some(streaming) => TimeLimit::Stream {
                idle: seconds(streaming.idle_timeout_seconds).unwrap_or(stream_idle),
                whole: seconds(streaming.max_duration_seconds),
            },
        };
        Self {
            internal_stats: metrics.calls(&key, &internal_path),
            key,
            uid: text(&meta.uid),
            name: text(&meta.name),
            namespace: text(&meta.namespace),
            resource_version: text(&meta.resource_version),
            endpoints,
            admit_timeout: timeout,
            time_limit,
            function,
        }
    }
}

fn seconds(value: i64) -> Option<Duration> {
    u64::try_from(value).ok().filter(|value| *value > 0).map(|value| Duration::from_secs(value).min(LONGEST))
}
