//! Instances that end by themselves.

use fission_executor::Options;
use fission_executor::backend::BackendError;
use fission_rpc::executor::Executor;
use fission_rpc::instances::{Instances, Phase};
use fission_testkit::{World, eventually, fixtures};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_crashed_instance_is_replaced_on_demand_and_shows_why_it_ended() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(fixtures::function("hello"));
    let first = ask(&world, &function).await.unwrap().lease.endpoint().clone();
    assert!(world.backend.crash(&first.id, "killed by signal 9"));
    eventually("it takes no more requests", || first.is_closed()).await;
    let failed = in_phase(&world, Phase::Failed);
    assert_eq!((failed[0].id.clone(), failed[0].ended.as_deref()), (first.id.clone(), Some("killed by signal 9")));
    let second = ask(&world, &function).await.unwrap();
    assert_ne!(second.lease.endpoint().id, first.id);
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert!(in_phase(&world, Phase::Failed).is_empty());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_crashed_instance_get_another() {
    let world = Arc::new(World::new(Options::default(), 0));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    let serving = ask(&world, &function).await.unwrap();
    let waiting = burst(&world, &function, 3, ms(1));
    tokio::time::sleep(ms(5)).await;
    world.backend.crash(&serving.lease.endpoint().id, "exited with code 1");
    for request in waiting {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_loading_is_tried_on_another_instance() {
    let world = Arc::new(World::new(Options::default(), 2));
    warm(&world, 2).await;
    world.backend.set_specialize_delay(ms(50));
    let function = world.declare(fixtures::function("hello"));
    let requests = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(20)).await;
    let loading = in_phase(&world, Phase::Specializing)[0].id.clone();
    world.backend.crash(&loading, "exited with code 3");
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(specializations(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_warm_instance_is_replaced_at_once() {
    let world = World::new(Options::default(), 2);
    warm(&world, 2).await;
    let warm_one = in_phase(&world, Phase::Generic)[0].id.clone();
    world.backend.crash(&warm_one, "killed by signal 11");
    eventually("the pool is full again", || creates(&world) == 3 && in_phase(&world, Phase::Generic).len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_crashes_in_a_loop_is_not_spun() {
    let world = World::new(Options::default(), 2);
    world.backend.on_create(|spec| {
        Some(BackendError::Broken { instance: spec.id.clone(), why: "exited with code 1: no such file".into() })
    });
    tokio::time::sleep(Duration::from_secs(120)).await;
    let tried = creates(&world);
    assert!((5..40).contains(&tried), "{tried}");
    let function = world.declare(fixtures::function("hello"));
    let refusal = ask(&world, &function).await.unwrap_err();
    assert!(refusal.message.contains("no such file"), "{}", refusal.message);
    assert!(creates(&world) <= tried + 1);
    assert!(world.pool_manager.list().len() <= 100);
}

#[tokio::test(start_paused = true)]
async fn a_suspected_instance_takes_no_more_requests_and_is_ended() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(fixtures::function("hello"));
    let first = ask(&world, &function).await.unwrap();
    let endpoint = first.lease.endpoint().clone();
    world.pool_manager.suspect(&world.index.group(&function), &endpoint);
    assert!(endpoint.is_closed());
    drop(first);
    eventually("it is ended", || !world.backend.living().contains(&endpoint.id)).await;
    assert_ne!(ask(&world, &function).await.unwrap().lease.endpoint().id, endpoint.id);
}
