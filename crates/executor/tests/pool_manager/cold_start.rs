//! From a request without an endpoint to its lease.

use fission_executor::Options;
use fission_rpc::instances::{Instances, Phase};
use fission_testkit::{Call, World, eventually, fixtures};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_first_request_takes_a_warm_instance_and_the_pool_is_refilled() {
    let world = World::new(Options::default(), 3);
    warm(&world, 3).await;
    let function = world.declare(fixtures::function("hello"));
    let admission = ask(&world, &function).await.unwrap();
    assert_eq!(creates(&world), 3);
    let shown = in_phase(&world, Phase::Specialized);
    assert_eq!(shown[0].id, admission.lease.endpoint().id);
    assert_eq!(shown[0].function.as_ref().unwrap().name, "hello");
    warm(&world, 3).await;
    assert_eq!(creates(&world), 4);
}

#[tokio::test(start_paused = true)]
async fn without_a_pool_an_instance_is_made_for_the_request() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::function("hello"));
    ask(&world, &function).await.unwrap();
    assert_eq!((creates(&world), specializations(&world)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_prepared_once() {
    let world = World::new(Options::default(), 3);
    warm(&world, 3).await;
    assert_eq!(world.backend.count(|call| matches!(call, Call::Prepare(_))), 1);
}

#[tokio::test(start_paused = true)]
async fn version_one_environments_get_their_code_as_user() {
    let world = World::new(Options::default(), 0);
    let mut old = fixtures::environment("old", 0);
    old.spec.version = 1;
    world.declared.environments.apply(old);
    let mut function = fixtures::function("hello");
    function.spec.environment.name = "old".into();
    let function = world.declare(function);
    ask(&world, &function).await.unwrap();
    let one = world.declare(fixtures::function("new"));
    ask(&world, &one).await.unwrap();
    let file = |function: &str| {
        world.backend.calls().into_iter().find_map(|call| match call {
            Call::Specialize(_, name, _, file) if name == function => Some(file),
            _ => None,
        })
    };
    assert_eq!(file("hello").as_deref(), Some("user"));
    assert_eq!(file("new").as_deref(), Some("deployarchive"));
}

#[tokio::test(start_paused = true)]
async fn code_is_fetched_while_the_instance_is_made() {
    let world = World::new(Options::default(), 0);
    world.backend.set_create_delay(ms(80));
    world.code.set_delay(ms(70));
    world.backend.set_specialize_delay(ms(5));
    let function = world.declare(fixtures::function("hello"));
    let admission = ask(&world, &function).await.unwrap();
    assert_eq!((admission.wait, admission.specialize), (ms(80), ms(5)));
}

#[tokio::test(start_paused = true)]
async fn a_package_that_is_seen_a_moment_after_its_function_is_waited_for() {
    let world = Arc::new(World::new(Options::default(), 0));
    let function = world.update(fixtures::function("hello"));
    let requests = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(20)).await;
    world.declare((*function).clone());
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_gets_a_running_instances_slot_waited_for_no_specialization() {
    let world = Arc::new(World::new(Options::default(), 1));
    warm(&world, 1).await;
    world.backend.set_specialize_delay(ms(10));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    let first = ask(&world, &function).await.unwrap();
    assert_eq!(first.specialize, ms(10));
    let second = tokio::spawn({
        let (world, function) = (world.clone(), function.clone());
        async move { ask(&world, &function).await.unwrap() }
    });
    tokio::time::sleep(ms(30)).await;
    drop(first);
    let second = second.await.unwrap();
    assert_eq!((second.wait, second.specialize), (ms(30), ms(0)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_joins_halfway_counts_only_its_share_of_the_specialization() {
    let world = Arc::new(World::new(Options::default(), 1));
    warm(&world, 1).await;
    world.backend.set_specialize_delay(ms(10));
    let mut function = fixtures::function("hello");
    function.spec.requests_per_pod = 2;
    let function = world.declare(function);
    let first = burst(&world, &function, 1, ms(50));
    tokio::time::sleep(ms(6)).await;
    let second = ask(&world, &function).await.unwrap();
    assert_eq!((second.wait, second.specialize), (ms(0), ms(4)));
    assert_eq!(specializations(&world), 1);
    for request in first {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_requests_make_no_more_instances_than_they_can_fill() {
    let world = Arc::new(World::new(Options::default(), 3));
    warm(&world, 3).await;
    world.backend.set_specialize_delay(ms(50));
    let mut function = fixtures::function("hello");
    function.spec.requests_per_pod = 10;
    let function = world.declare(function);
    for request in burst(&world, &function, 20, ms(100)) {
        request.await.unwrap().unwrap();
    }
    assert_eq!(specializations(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_whose_senders_went_away_take_no_instance() {
    let world = Arc::new(World::new(Options { specializations: 1, ..Options::default() }, 1));
    warm(&world, 1).await;
    world.backend.set_specialize_delay(ms(100));
    let busy = world.declare(fixtures::function("busy"));
    let first = burst(&world, &busy, 1, ms(1));
    tokio::time::sleep(ms(10)).await;
    let left = world.declare(fixtures::function("left"));
    for request in burst(&world, &left, 3, ms(1)) {
        tokio::time::sleep(ms(1)).await;
        request.abort();
    }
    for request in first {
        request.await.unwrap().unwrap();
    }
    tokio::time::sleep(ms(1000)).await;
    assert_eq!(specializations(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_was_never_called_costs_nothing() {
    let world = World::new(Options::default(), 1);
    warm(&world, 1).await;
    for number in 0..1000 {
        world.declare(fixtures::function(&format!("f{number}")));
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.index.groups().len(), 0);
    assert_eq!(world.pool_manager.list().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn cold_starts_are_counted_under_fissions_names() {
    let world = World::new(Options::default(), 1);
    let mut registry = prometheus_client::registry::Registry::default();
    world.pool_manager.register_metrics(&mut registry);
    let function = world.declare(fixtures::function("hello"));
    drop(ask(&world, &function).await.unwrap());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let row = r#"fission_function_cold_starts_total{function_name="hello",function_namespace="default"} 1"#;
    assert!(text.contains(row), "{text}");
}

#[tokio::test]
async fn the_pool_manager_adds_less_than_a_third_of_a_millisecond() {
    let world = World::new(Options::default(), 50);
    warm(&world, 50).await;
    let mut took = Vec::new();
    for number in 0..40 {
        let function = world.declare(fixtures::function(&format!("f{number}")));
        let began = std::time::Instant::now();
        drop(ask(&world, &function).await.unwrap());
        took.push(began.elapsed());
    }
    took.sort();
    eprintln!("cold start without a backend: fastest {:?}, p50 {:?}", took[0], took[20]);
    // The fastest, because the tests beside this one share the machine; the benchmarks have the whole distribution.
    assert!(took[0] < Duration::from_micros(300), "{took:?}");
    eventually("the pool is refilled", || in_phase(&world, Phase::Generic).len() == 50).await;
}
