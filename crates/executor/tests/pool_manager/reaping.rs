//! Idle instances end; busy ones never do.

use fission_executor::Options;
use fission_rpc::instances::Phase;
use fission_testkit::{World, eventually, fixtures};

use super::*;

/// A function whose instances are idle enough as soon as they serve no one.
fn short_lived(name: &str) -> Function {
    let mut function = fixtures::function(name);
    function.spec.idle_timeout = Some(0);
    function
}

#[tokio::test(start_paused = true)]
async fn a_reaped_function_cold_starts_again() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(short_lived("hello"));
    drop(ask(&world, &function).await.unwrap());
    eventually("it is reaped", || in_phase(&world, Phase::Specialized).is_empty()).await;
    warm(&world, 1).await;
    assert_eq!(world.backend.living().len(), 1);
    drop(ask(&world, &function).await.unwrap());
    assert_eq!(specializations(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_within_its_idle_timeout_stays() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::function("hello"));
    drop(ask(&world, &function).await.unwrap());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(in_phase(&world, Phase::Specialized).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_beats_the_reaper() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(short_lived("hello"));
    let serving = ask(&world, &function).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!serving.lease.endpoint().is_closed());
    drop(serving);
    eventually("it is reaped", || world.backend.living().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_retained_instances_stay() {
    let world = Arc::new(World::new(Options::default(), 0));
    let mut function = short_lived("hello");
    function.spec.retain_pods = 2;
    let function = world.declare(function);
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(ask(&world, &function).await.unwrap().lease);
        tokio::time::sleep(ms(10)).await;
    }
    let newest: Vec<_> = leases[3..].iter().map(|lease| lease.endpoint().id.clone()).collect();
    drop(leases);
    eventually("three are reaped", || world.backend.living().len() == 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut left = world.backend.living();
    left.sort();
    let mut newest = newest;
    newest.sort();
    assert_eq!(left, newest);
}

#[tokio::test(start_paused = true)]
async fn a_once_only_instance_serves_one_request_and_is_gone() {
    let world = Arc::new(World::new(Options::default(), 1));
    let mut function = fixtures::function("hello");
    function.spec.once_only = true;
    function.spec.concurrency = 2;
    let function = world.declare(function);
    for request in burst(&world, &function, 6, ms(50)) {
        request.await.unwrap().unwrap();
    }
    assert_eq!(specializations(&world), 6);
    // One warm, two of the function, and one warm being made for the next.
    assert!(world.backend.most_living() <= 4, "{}", world.backend.most_living());
    eventually("all are gone", || in_phase(&world, Phase::Specialized).is_empty() && world.backend.living().len() == 1)
        .await;
}

#[tokio::test]
async fn a_reaper_at_full_speed_never_takes_an_instance_from_a_request() {
    let options = Options { reap_interval: ms(1), ..Options::default() };
    let world = Arc::new(World::new(options, 2));
    let function = world.declare(short_lived("hello"));
    for _ in 0..20 {
        for request in burst(&world, &function, 10, ms(1)) {
            request.await.unwrap().unwrap();
        }
    }
    eventually("nothing is left but the pool", || world.backend.living().len() == 2).await;
}
