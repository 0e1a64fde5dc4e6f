//! What the router asks when no endpoint has room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fission_api::Function;

use crate::endpoint::{Endpoint, FunctionEndpoints, Lease};
use crate::refusal::Refusal;

/// A request that found no endpoint with room.
#[derive(Clone, Debug)]
pub struct ColdRequest {
    /// The newest copy of the function the router has.
    pub function: Arc<Function>,
    /// Its group in the index.
    pub endpoints: Arc<FunctionEndpoints>,
    /// When the sender stops waiting.
    pub deadline: Instant,
}

/// A slot, and where the time went until it was there.
#[derive(Debug)]
pub struct Admission {
    /// The right to send the request.
    pub lease: Lease,
    /// Time spent waiting for an instance or a slot, specialization excluded.
    pub wait: Duration,
    /// Time the specialization took that this request waited for; zero when it got a slot of a running instance.
    pub specialize: Duration,
}

/// The executor as the router sees it.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Holds the request until an endpoint of the function has room, making instances as its limits allow.
    ///
    /// Cancel-safe: dropping the future gives up the place in the queue. An `Err` is final for this request.
    async fn admit(&self, request: ColdRequest) -> Result<Admission, Refusal>;

    /// Tells that an endpoint refused a connection or broke. It is closed at once and its instance looked at.
    fn suspect(&self, group: &Arc<FunctionEndpoints>, endpoint: &Arc<Endpoint>);

    /// How the instance of an endpoint that broke ended by itself: `killed: over its memory limit of 512 MiB`. Waits a moment
    /// for that news; `None` when it lives on, or when nobody here can know.
    async fn ended(&self, _endpoint: &Arc<Endpoint>) -> Option<String> {
        None
    }
}
