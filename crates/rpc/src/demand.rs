//! Router and executor in two processes: what a router is asked for, and what the executor has for it.
//!
//! Both sides are told levels, never steps: a report replaces the router's last one, and an answer lists every endpoint
//! there is. So a message that is lost, late or sent twice does no harm, and either side may be replaced at any moment.

use std::net::SocketAddr;
use std::time::Duration;

use fission_api::Function;
use serde::{Deserialize, Serialize};

use crate::refusal::{Component, Limit, Refusal};

/// Path of [`DemandReport`] at the executor; answered with [`DemandAnswer`].
pub const DEMAND_PATH: &str = "/v2/demand";
/// Path of [`Activity`] at the executor; answered with nothing.
pub const ACTIVITY_PATH: &str = "/v2/activity";
/// Path of [`Suspicion`] at the executor; answered with nothing.
pub const SUSPECT_PATH: &str = "/v2/suspect";

/// How often a router says what its functions do.
pub const ACTIVITY_PERIOD: Duration = Duration::from_secs(1);

/// Stable reasons that travel; one that is not here arrives as `refused`.
const REASONS: &[&str] =
    &["capacity_exceeded", "executor_unavailable", "function_not_found", "function_timeout", "specialization_failed"];

/// One function's demand at one router, sent when a request found no room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DemandReport {
    /// Identifies the router process; a new one after each start.
    pub router: String,
    /// The newest copy of the function the router has.
    pub function: Function,
    /// Requests that wait.
    pub waiting: usize,
    /// The endpoints the router knows and what they do for it.
    pub endpoints: Vec<EndpointUse>,
}

/// What one endpoint does for one router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointUse {
    /// Name of the instance, which is that of its pod.
    pub name: String,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests finished since the router knows it; grows, so that an endpoint that was used between two reports is seen.
    pub served: u64,
}

/// Answer to a [`DemandReport`]: given as soon as there is an endpoint the report does not list, when the demand is
/// refused, or after a while.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DemandAnswer {
    /// Every endpoint of the function.
    pub endpoints: Vec<EndpointAddress>,
    /// What the function's requests are waiting for, for people.
    pub waiting_for: String,
    /// Milliseconds the newest of the endpoints took to be loaded.
    pub specialize_ms: u64,
    /// Set when everyone who waits shall be refused.
    pub refusal: Option<SentRefusal>,
}

/// Where an instance listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAddress {
    /// Name of the instance, which is that of its pod.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
}

/// What all functions in use do at one router, sent every now and then. What is not listed has nothing in flight and
/// nobody waiting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Activity {
    /// Identifies the router process.
    pub router: String,
    /// The functions.
    pub functions: Vec<FunctionActivity>,
}

/// One function's part of an [`Activity`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionActivity {
    /// `metadata.uid` of the function.
    pub uid: String,
    /// `metadata.generation` of the function.
    pub generation: i64,
    /// Requests that wait.
    pub waiting: usize,
    /// Its endpoints at this router.
    pub endpoints: Vec<EndpointUse>,
}

/// An endpoint that refused a connection or broke.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suspicion {
    /// `metadata.uid` of the function.
    pub uid: String,
    /// Name of the instance, which is that of its pod.
    pub name: String,
}

/// A [`Refusal`] on its way to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRefusal {
    status: u16,
    component: Component,
    reason: String,
    message: String,
    limit: Option<Limit>,
    hint: Option<String>,
}

impl From<Refusal> for SentRefusal {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, component, reason, message, limit, hint } = refusal;
        Self { status, component, reason: reason.to_owned(), message, limit, hint }
    }
}

impl From<SentRefusal> for Refusal {
    fn from(sent: SentRefusal) -> Self {
        let SentRefusal { status, component, reason, message, limit, hint } = sent;
        let reason = REASONS.iter().find(|known| **known == reason).copied().unwrap_or("refused");
        Self { status, component, reason, message, limit, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_arrives_as_it_was_sent() {
        let refusal = Refusal::new(429, Component::Executor, "capacity_exceeded", "full")
            .limit("spec.concurrency", 5, "fission function update")
            .hint("wait");
        let text = serde_json::to_string(&SentRefusal::from(refusal.clone())).unwrap();
        let arrived: SentRefusal = serde_json::from_str(&text).unwrap();
        assert_eq!(Refusal::from(arrived), refusal);
    }

    #[test]
    fn a_reason_nobody_here_knows_is_still_a_refusal() {
        let text = r#"{"status":500,"component":"executor","reason":"new","message":"m","limit":null,"hint":null}"#;
        let arrived: SentRefusal = serde_json::from_str(text).unwrap();
        assert_eq!(Refusal::from(arrived).reason, "refused");
    }
}
