//! Concurrency, queues, deadlines, room on the machine.

use fission_executor::Options;
use fission_rpc::instances::Phase;
use fission_rpc::refusal::Component;
use fission_testkit::{World, eventually, fixtures};

use super::*;

#[tokio::test(start_paused = true)]
async fn three_hundred_first_requests_with_concurrency_five_are_all_answered_by_five_instances() {
    let world = Arc::new(World::new(Options::default(), 3));
    warm(&world, 3).await;
    world.backend.set_specialize_delay(ms(20));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 5;
    let function = world.declare(function);
    for request in burst(&world, &function, 300, ms(10)) {
        request.await.unwrap().unwrap();
    }
    assert_eq!(specializations(&world), 5);
    assert_eq!(in_phase(&world, Phase::Specialized).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_cap_are_on_their_way_for_one_function() {
    let options = Options { pending_per_function: 4, ..Options::default() };
    let world = Arc::new(World::new(options, 0));
    world.backend.set_specialize_delay(ms(100));
    let function = world.declare(fixtures::function("hello"));
    let requests = burst(&world, &function, 40, ms(10_000));
    tokio::time::sleep(ms(50)).await;
    assert_eq!(specializations(&world), 4);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(specializations(&world), 40);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_refused_with_the_limit_and_the_command_that_changes_it() {
    let world = Arc::new(World::new(Options { max_queue: 3, ..Options::default() }, 1));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    let serving = ask(&world, &function).await.unwrap();
    let waiting = burst(&world, &function, 3, ms(1));
    tokio::time::sleep(ms(5)).await;
    let refusal = ask(&world, &function).await.unwrap_err();
    assert_eq!((refusal.status, refusal.component, refusal.reason), (429, Component::Executor, "capacity_exceeded"));
    let limit = refusal.limit.unwrap();
    assert_eq!((limit.name.as_str(), limit.value.as_str()), ("spec.concurrency", "1"));
    assert_eq!(limit.change, "fission function update --name hello --concurrency 2");
    assert!(refusal.message.contains("queue limit 3"), "{}", refusal.message);
    drop(serving);
    for request in waiting {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_went_away_do_not_fill_the_queue() {
    let world = Arc::new(World::new(Options { max_queue: 2, ..Options::default() }, 1));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    let serving = ask(&world, &function).await.unwrap();
    for request in burst(&world, &function, 2, ms(1)) {
        tokio::time::sleep(ms(1)).await;
        request.abort();
    }
    tokio::time::sleep(ms(1)).await;
    let waiting = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(1)).await;
    drop(serving);
    for request in waiting {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_time_runs_out_is_told_what_it_waited_for() {
    let world = World::new(Options::default(), 0);
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    world.backend.set_create_delay(ms(500));
    let refusal = world.request(&function, ms(100)).await.unwrap_err();
    assert_eq!((refusal.status, refusal.component), (504, Component::Timeout));
    assert!(refusal.message.contains("an instance of environment nodejs to be ready"), "{}", refusal.message);
    assert!(refusal.limit.unwrap().change.contains("--fntimeout 120"));

    let serving = ask(&world, &function).await.unwrap();
    let refusal = world.request(&function, ms(100)).await.unwrap_err();
    assert!(refusal.message.contains("at most 1, spec.concurrency"), "{}", refusal.message);
    drop(serving);
}

#[tokio::test(start_paused = true)]
async fn a_burst_beyond_the_machines_room_waits_instead() {
    let world = Arc::new(World::new(Options { max_instances: 4, ..Options::default() }, 0));
    let function = world.declare(fixtures::function("hello"));
    for request in burst(&world, &function, 50, ms(100)) {
        request.await.unwrap().unwrap();
    }
    assert!(world.backend.most_living() <= 4, "{}", world.backend.most_living());
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_is_being_prepared_holds_up_no_other() {
    let world = Arc::new(World::new(Options { specializations: 1, ..Options::default() }, 0));
    world.declared.environments.apply(fixtures::environment("python", 0));
    let mut quick = fixtures::function("quick");
    quick.spec.environment.name = "python".into();
    let quick = world.declare(quick);
    drop(ask(&world, &quick).await.unwrap());
    world.backend.set_prepare_delay(Duration::from_secs(60));
    let slow = world.declare(fixtures::function("slow"));
    let waiting = burst(&world, &slow, 30, ms(1));
    tokio::time::sleep(ms(100)).await;
    let next = world.update(fixtures::next_generation((*quick).clone()));
    drop(world.request(&next, ms(100)).await.unwrap());
    for request in waiting {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_makes_room_for_another_function() {
    let world = World::new(Options { max_instances: 2, ..Options::default() }, 0);
    for name in ["a", "b", "c", "d"] {
        let function = world.declare(fixtures::function(name));
        drop(world.request(&function, Duration::from_secs(1)).await.unwrap());
    }
    assert!(world.backend.most_living() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_gives_up_a_warm_instance_for_another_environments_request() {
    let world = World::new(Options { max_instances: 3, ..Options::default() }, 3);
    warm(&world, 3).await;
    world.declared.environments.apply(fixtures::environment("python", 0));
    let mut function = fixtures::function("hello");
    function.spec.environment.name = "python".into();
    let function = world.declare(function);
    drop(world.request(&function, Duration::from_secs(1)).await.unwrap());
    assert!(world.backend.most_living() <= 3);
    eventually("one fewer is warm", || in_phase(&world, Phase::Generic).len() == 2).await;
}

/// Memory of a made-up machine.
#[derive(Debug, Default)]
struct Free(std::sync::atomic::AtomicU64);

impl fission_executor::room::Memory for Free {
    fn available(&self) -> Option<u64> {
        Some(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
}

fn with_memory(free: u64) -> (Arc<Free>, Options) {
    let memory = Arc::new(Free(free.into()));
    let options = Options { memory: memory.clone(), memory_reserve: 50, memory_per_instance: 10, ..Options::default() };
    (memory, options)
}

#[tokio::test(start_paused = true)]
async fn a_burst_on_a_machine_short_of_memory_waits_for_it_instead_of_making_more() {
    let (memory, options) = with_memory(1000);
    let world = Arc::new(World::new(options, 0));
    let function = world.declare(fixtures::function("hello"));
    let first = ask(&world, &function).await.unwrap();
    memory.0.store(55, std::sync::atomic::Ordering::Relaxed);
    let waiting = burst(&world, &function, 3, ms(1));
    tokio::time::sleep(ms(1000)).await;
    assert_eq!(creates(&world), 1, "nothing is made without room for it");
    memory.0.store(1000, std::sync::atomic::Ordering::Relaxed);
    for request in waiting {
        request.await.unwrap().unwrap();
    }
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn instances_on_their_way_count_before_their_memory_is_used() {
    let (_memory, options) = with_memory(75);
    let world = Arc::new(World::new(options, 0));
    world.backend.set_create_delay(ms(500));
    let function = world.declare(fixtures::function("hello"));
    let requests = burst(&world, &function, 10, ms(10_000));
    tokio::time::sleep(ms(100)).await;
    assert_eq!(creates(&world), 2, "50 stay free, 10 are kept for each");
    requests.into_iter().for_each(|request| request.abort());
}

#[tokio::test(start_paused = true)]
async fn the_only_instance_of_a_machine_is_made_however_little_memory_there_is() {
    let (_memory, options) = with_memory(1);
    let world = Arc::new(World::new(options, 0));
    let function = world.declare(fixtures::function("hello"));
    let requests = burst(&world, &function, 3, ms(1));
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert!(creates(&world) >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waited_in_vain_for_memory_is_told_the_setting() {
    let (memory, options) = with_memory(1000);
    let world = World::new(options, 0);
    let serving = ask(&world, &world.declare(fixtures::function("first"))).await.unwrap();
    memory.0.store(1, std::sync::atomic::Ordering::Relaxed);
    let refusal = ask(&world, &world.declare(fixtures::function("second"))).await.unwrap_err();
    assert!(refusal.message.contains("fission up --memory-reserve"), "{}", refusal.message);
    drop(serving);
}
