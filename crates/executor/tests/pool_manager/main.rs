//! The pool manager as a whole, over a scripted backend. Mostly on paused time: delays are exact and cost nothing.

mod cold_start;
mod conditions;
mod configuration;
mod crash;
mod failure;
mod foreign;
mod limits;
mod newdeploy;
mod provisioned;
mod reaping;
mod remote;
mod shutdown;
mod storm;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use fission_api::Function;
use fission_rpc::executor::Admission;
use fission_rpc::instances::{InstanceInfo, Instances, Phase};
use fission_rpc::refusal::Refusal;
use fission_testkit::{Call, World};
use tokio::task::JoinHandle;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(3600);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Instances as shown, of one phase.
fn in_phase(world: &World, phase: Phase) -> Vec<InstanceInfo> {
    world.pool_manager.list().into_iter().filter(|info| info.phase == phase).collect()
}

fn creates(world: &World) -> usize {
    world.backend.count(|call| matches!(call, Call::Create(_)))
}

fn specializations(world: &World) -> usize {
    world.backend.count(|call| matches!(call, Call::Specialize(..)))
}

/// Sends requests at once, each holding its slot for a while.
fn burst(
    world: &Arc<World>,
    function: &Arc<Function>,
    count: usize,
    hold: Duration,
) -> Vec<JoinHandle<Result<(), Refusal>>> {
    (0..count)
        .map(|_| {
            let (world, function) = (world.clone(), function.clone());
            tokio::spawn(async move {
                let admission = world.request(&function, PATIENCE).await?;
                tokio::time::sleep(hold).await;
                drop(admission);
                Ok(())
            })
        })
        .collect()
}

/// Waits until the pool holds this many.
async fn warm(world: &World, count: usize) {
    fission_testkit::eventually("the pool is warm", || in_phase(world, Phase::Generic).len() == count).await;
}

async fn ask(world: &World, function: &Arc<Function>) -> Result<Admission, Refusal> {
    world.request(function, PATIENCE).await
}
