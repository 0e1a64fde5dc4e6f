//! The end: requests are let go, nothing is left behind.

use fission_executor::Options;
use fission_testkit::{World, fixtures};

use super::*;

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_requests_and_leaves_nothing_behind() {
    let world = Arc::new(World::new(Options::default(), 3));
    warm(&world, 3).await;
    let function = world.declare(fixtures::function("hello"));
    let requests = burst(&world, &function, 5, ms(300));
    tokio::time::sleep(ms(20)).await;
    world.cancel.cancel();
    tokio::time::sleep(ms(20)).await;
    let late = world.declare(fixtures::function("late"));
    let refusal = ask(&world, &late).await.unwrap_err();
    assert_eq!((refusal.status, refusal.reason), (503, "executor_unavailable"));
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let world = Arc::into_inner(world).unwrap();
    world.running.await.unwrap();
    assert_eq!(world.backend.living(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_delays_shutdown_only_up_to_the_drain_deadline() {
    let world = World::new(Options { drain_deadline: ms(500), ..Options::default() }, 1);
    let function = world.declare(fixtures::function("hello"));
    let stuck = ask(&world, &function).await.unwrap();
    let began = tokio::time::Instant::now();
    world.cancel.cancel();
    world.running.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(world.backend.living(), []);
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn shutdown_while_instances_are_made_leaves_none() {
    let world = World::new(Options::default(), 3);
    world.backend.set_create_delay(ms(400));
    tokio::time::sleep(ms(100)).await;
    world.cancel.cancel();
    world.running.await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.backend.living(), []);
}
