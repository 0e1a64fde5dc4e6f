//! Functions with instances of their own, scaled by demand.

use fission_executor::Options;
use fission_executor::backend::BackendError;
use fission_rpc::instances::Phase;
use fission_testkit::{World, eventually, fixtures};

use super::*;

#[tokio::test(start_paused = true)]
async fn the_minimum_is_there_before_the_first_request() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::newdeploy("hello", 2, 4));
    eventually("two are specialized", || in_phase(&world, Phase::Specialized).len() == 2).await;
    assert!(in_phase(&world, Phase::Specialized).iter().all(|info| info.executor_type == "newdeploy"));
    let admission = ask(&world, &function).await.unwrap();
    assert_eq!((admission.wait, specializations(&world)), (ms(0), 2));
}

#[tokio::test(start_paused = true)]
async fn load_scales_out_to_the_maximum_and_idleness_back_to_the_minimum() {
    let world = Arc::new(World::new(Options::default(), 0));
    let mut function = fixtures::newdeploy("hello", 1, 3);
    function.spec.idle_timeout = Some(0);
    let function = world.declare(function);
    eventually("one is specialized", || in_phase(&world, Phase::Specialized).len() == 1).await;
    let requests = burst(&world, &function, 10, Duration::from_secs(20));
    eventually("three are specialized", || in_phase(&world, Phase::Specialized).len() == 3).await;
    for request in requests {
        request.await.unwrap().unwrap();
    }
    eventually("one is left", || in_phase(&world, Phase::Specialized).len() == 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.backend.living().len(), 1);
    assert_eq!(world.backend.most_living(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_minimum_of_zero_starts_from_zero() {
    let world = World::new(Options::default(), 0);
    let mut function = fixtures::newdeploy("hello", 0, 2);
    function.spec.idle_timeout = Some(0);
    let function = world.declare(function);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(creates(&world), 0);
    drop(ask(&world, &function).await.unwrap());
    eventually("it is back at zero", || world.backend.living().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_one_of_the_minimum_is_replaced_without_a_request() {
    let world = World::new(Options::default(), 0);
    world.declare(fixtures::newdeploy("hello", 1, 1));
    eventually("one is specialized", || in_phase(&world, Phase::Specialized).len() == 1).await;
    let first = in_phase(&world, Phase::Specialized)[0].id.clone();
    world.backend.crash(&first, "exited with code 1");
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(in_phase(&world, Phase::Specialized).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_minimum_that_cannot_be_loaded_is_not_spun() {
    let world = World::new(Options::default(), 0);
    world.backend.on_specialize(|_, _| Some(BackendError::Refused { status: 500, message: "no such module".into() }));
    world.declare(fixtures::newdeploy("hello", 1, 1));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!((2..8).contains(&creates(&world)), "{}", creates(&world));
}

#[tokio::test(start_paused = true)]
async fn an_update_replaces_the_minimum() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::newdeploy("hello", 2, 4));
    eventually("two are specialized", || in_phase(&world, Phase::Specialized).len() == 2).await;
    world.update(fixtures::next_generation((*function).clone()));
    eventually("two of the new generation are left", || {
        let shown = in_phase(&world, Phase::Specialized);
        shown.len() == 2
            && shown.iter().all(|info| info.function.as_ref().unwrap().generation == 2)
            && world.backend.living().len() == 2
    })
    .await;
}
