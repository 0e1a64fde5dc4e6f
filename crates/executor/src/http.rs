//! How routers in other processes ask: three paths for ours, see [`fission_rpc::demand`], and those of Fission's executor
//! for its own.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use fission_api::{ExecutorType, Function};
use fission_rpc::demand::{ACTIVITY_PATH, Activity, DEMAND_PATH, DemandAnswer, DemandReport, SUSPECT_PATH, Suspicion};

use crate::PoolManager;
use crate::foreign::{self, Held};

/// Looks after functions of the executor types `newdeploy` and `container`, where that is not done by the pool manager.
#[async_trait]
pub trait Scaled: Send + Sync + 'static {
    /// Makes what a router lacks, and answers as soon as there is an endpoint it does not know.
    async fn demand(&self, report: DemandReport) -> DemandAnswer;
    /// Takes note of what a router has in flight.
    fn activity(&self, activity: &Activity);
    /// Host and port of the function as a whole, for who does not choose among its pods.
    fn address(&self, function: &Function) -> String;
}

/// Both who look after functions.
#[derive(Clone)]
pub(crate) struct Both {
    pub(crate) pools: Arc<PoolManager>,
    pub(crate) scaled: Arc<dyn Scaled>,
    /// What routers that are not ours have under way.
    pub(crate) held: Held,
}

/// The executor as a router. It lets everybody in: put a [`fission_rpc::signed::Verifier`] before it.
pub fn http(pools: Arc<PoolManager>, scaled: Arc<dyn Scaled>) -> Router {
    Router::new()
        .route(DEMAND_PATH, post(demand))
        .route(ACTIVITY_PATH, post(activity))
        .route(SUSPECT_PATH, post(suspect))
        .merge(foreign::routes())
        .with_state(Both { pools, scaled, held: Held::default() })
}

async fn demand(State(both): State<Both>, Json(report): Json<DemandReport>) -> Result<Json<DemandAnswer>, StatusCode> {
    let answer = match report.function.spec.executor_type() {
        ExecutorType::Newdeploy | ExecutorType::Container => Some(both.scaled.demand(report).await),
        _ => both.pools.demand(report).await,
    };
    // Routers ask again until the next executor answers.
    answer.map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

async fn activity(State(both): State<Both>, Json(activity): Json<Activity>) -> StatusCode {
    both.pools.activity(&activity);
    both.scaled.activity(&activity);
    StatusCode::NO_CONTENT
}

async fn suspect(State(both): State<Both>, Json(suspicion): Json<Suspicion>) -> StatusCode {
    both.pools.suspicion(&suspicion);
    StatusCode::NO_CONTENT
}
