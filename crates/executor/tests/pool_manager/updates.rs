//! Changed declarations, without dropping a request.

use fission_executor::Options;
use fission_rpc::cache::ObjectKey;
use fission_rpc::instances::Phase;
use fission_testkit::{Call, World, eventually, fixtures};

use super::*;

fn generations(world: &World) -> Vec<i64> {
    let loaded = |call| match call {
        Call::Specialize(_, _, generation, _) => Some(generation),
        _ => None,
    };
    world.backend.calls().into_iter().filter_map(loaded).collect()
}

#[tokio::test(start_paused = true)]
async fn an_update_lets_requests_in_flight_end_and_serves_new_ones_with_the_new_generation() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(fixtures::function("hello"));
    let serving = ask(&world, &function).await.unwrap();
    let old = serving.lease.endpoint().clone();
    let updated = world.update(fixtures::next_generation((*function).clone()));
    eventually("the old instance takes no more requests", || old.is_closed()).await;
    let new = ask(&world, &updated).await.unwrap();
    assert_eq!(generations(&world), [1, 2]);
    tokio::time::sleep(ms(500)).await;
    assert!(world.backend.living().contains(&old.id));
    drop(serving);
    eventually("the old instance is gone", || !world.backend.living().contains(&old.id)).await;
    assert!(world.backend.living().contains(&new.lease.endpoint().id));
}

#[tokio::test(start_paused = true)]
async fn a_request_routed_just_before_an_update_is_served_by_the_new_generation() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(fixtures::function("hello"));
    world.update(fixtures::next_generation((*function).clone()));
    ask(&world, &function).await.unwrap();
    assert_eq!(generations(&world), [2]);
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_during_an_update_are_all_answered() {
    let world = Arc::new(World::new(Options::default(), 1));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    let requests = burst(&world, &function, 20, ms(20));
    tokio::time::sleep(ms(50)).await;
    world.update(fixtures::next_generation((*function).clone()));
    for request in requests {
        request.await.unwrap().unwrap();
    }
    eventually("nothing of the old generation is left", || in_phase(&world, Phase::Specialized).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn updates_under_load_drop_no_request() {
    let world = Arc::new(World::new(Options::default(), 2));
    let mut current = world.declare(fixtures::function("hello"));
    let mut requests = Vec::new();
    for _ in 0..30 {
        requests.extend(burst(&world, &current, 5, ms(30)));
        tokio::time::sleep(ms(7)).await;
        current = world.update(fixtures::next_generation((*current).clone()));
    }
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let newest = current.metadata.generation.unwrap();
    eventually("only the newest generation is left", || {
        in_phase(&world, Phase::Specialized).iter().all(|info| info.function.as_ref().unwrap().generation == newest)
            && in_phase(&world, Phase::Draining).is_empty()
    })
    .await;
    eventually("the index forgets old generations", || world.index.groups().len() <= 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_instance_that_does_not_drain_is_ended_after_the_function_timeout() {
    let world = World::new(Options::default(), 0);
    let mut function = fixtures::function("hello");
    function.spec.function_timeout = 30;
    let function = world.declare(function);
    let stuck = ask(&world, &function).await.unwrap();
    world.update(fixtures::next_generation((*function).clone()));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(world.backend.living().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.backend.living().is_empty());
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_function_refuses_who_waits_and_drains_who_is_served() {
    let world = Arc::new(World::new(Options::default(), 0));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 1;
    let function = world.declare(function);
    let serving = ask(&world, &function).await.unwrap();
    let waiting = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(5)).await;
    world.declared.functions.delete(&ObjectKey::of(function.as_ref()));
    for request in waiting {
        assert_eq!(request.await.unwrap().unwrap_err().status, 404);
    }
    assert_eq!(world.backend.living().len(), 1);
    drop(serving);
    eventually("the instance is gone", || world.backend.living().is_empty()).await;
    eventually("the index forgets it", || world.index.groups().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_image_rebuilds_the_pool_and_then_drains_what_the_old_one_made() {
    let world = World::new(Options::default(), 2);
    warm(&world, 2).await;
    let function = world.declare(fixtures::function("hello"));
    let serving = ask(&world, &function).await.unwrap();
    warm(&world, 2).await;
    let key = ObjectKey { namespace: "default".into(), name: "nodejs".into() };
    let mut changed = fixtures::next_generation((*world.declared.environments.get(&key).unwrap()).clone());
    changed.spec.runtime.image = "fission/node-env:new".into();
    world.declared.environments.apply(changed);
    eventually("only instances of the new image are warm", || {
        let warm = in_phase(&world, Phase::Generic);
        warm.len() == 2 && warm.iter().all(|info| info.image.ends_with(":new"))
    })
    .await;
    assert!(serving.lease.endpoint().is_closed());
    assert!(world.backend.living().contains(&serving.lease.endpoint().id));
    drop(serving);
    let again = ask(&world, &function).await.unwrap();
    let shown = in_phase(&world, Phase::Specialized);
    assert_eq!(shown[0].id, again.lease.endpoint().id);
    assert!(shown[0].image.ends_with(":new"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_pool_size_only_resizes() {
    let world = World::new(Options::default(), 2);
    warm(&world, 2).await;
    let function = world.declare(fixtures::function("hello"));
    let serving = ask(&world, &function).await.unwrap();
    warm(&world, 2).await;
    let key = ObjectKey { namespace: "default".into(), name: "nodejs".into() };
    for size in [4, 1] {
        let mut changed = fixtures::next_generation((*world.declared.environments.get(&key).unwrap()).clone());
        changed.spec.poolsize = size;
        world.declared.environments.apply(changed);
        warm(&world, usize::try_from(size).unwrap()).await;
    }
    assert!(!serving.lease.endpoint().is_closed());
    assert_eq!(creates(&world), 5);
}

#[tokio::test(start_paused = true)]
async fn a_changed_status_of_an_environment_changes_nothing_that_runs() {
    let world = World::new(Options::default(), 2);
    warm(&world, 2).await;
    let mut environment = (*world.declared.environments.list()[0]).clone();
    environment.status = Some(Default::default());
    world.declared.environments.apply(environment);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(creates(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_while_their_instance_is_replaced_get_another_at_once() {
    let world = Arc::new(World::new(Options { pending_per_function: 1, ..Options::default() }, 0));
    let mut function = fixtures::function("hello");
    function.spec.concurrency = 2;
    function.spec.requests_per_pod = 1;
    let function = world.declare(function);
    let serving = (ask(&world, &function).await.unwrap(), ask(&world, &function).await.unwrap());
    let waiting = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(5)).await;
    let key = ObjectKey { namespace: "default".into(), name: "hello".into() };
    let package = world.declared.packages.get(&key).unwrap();
    world.declared.packages.apply(fixtures::next_generation((*package).clone()));
    tokio::time::sleep(ms(5)).await;
    drop(serving.0);
    let began = tokio::time::Instant::now();
    for request in waiting {
        request.await.unwrap().unwrap();
    }
    assert!(began.elapsed() < ms(100), "{:?}", began.elapsed());
    drop(serving.1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_environment_takes_its_pool_along_and_drains_its_functions() {
    let world = World::new(Options::default(), 2);
    warm(&world, 2).await;
    let function = world.declare(fixtures::function("hello"));
    let serving = ask(&world, &function).await.unwrap();
    world.declared.environments.delete(&ObjectKey { namespace: "default".into(), name: "nodejs".into() });
    eventually("only the busy instance is left", || world.backend.living().len() == 1).await;
    drop(serving);
    eventually("nothing is left", || world.backend.living().is_empty()).await;
    let refusal = ask(&world, &function).await.unwrap_err();
    assert!(refusal.message.contains("does not exist"), "{}", refusal.message);
}

#[tokio::test(start_paused = true)]
async fn changed_code_replaces_what_was_loaded_from_the_old() {
    let world = World::new(Options::default(), 1);
    let follows = world.declare(fixtures::function("follows"));
    let mut pinned = fixtures::function("pinned");
    pinned.metadata.annotations =
        Some([("fission.io/disable-package-auto-follow".to_owned(), "true".to_owned())].into());
    let pinned = world.declare(pinned);
    let (old, kept) = (ask(&world, &follows).await.unwrap(), ask(&world, &pinned).await.unwrap());
    for name in ["follows", "pinned"] {
        let key = ObjectKey { namespace: "default".into(), name: name.into() };
        let package = world.declared.packages.get(&key).unwrap();
        world.declared.packages.apply(fixtures::next_generation((*package).clone()));
    }
    eventually("the old code takes no more requests", || old.lease.endpoint().is_closed()).await;
    assert!(!kept.lease.endpoint().is_closed());
    let new = ask(&world, &follows).await.unwrap();
    assert_ne!(new.lease.endpoint().id, old.lease.endpoint().id);
}

#[tokio::test(start_paused = true)]
async fn code_that_changes_while_a_function_is_loaded_is_not_missed() {
    let world = Arc::new(World::new(Options::default(), 1));
    world.backend.set_specialize_delay(ms(100));
    let function = world.declare(fixtures::function("hello"));
    let first = burst(&world, &function, 1, ms(1));
    tokio::time::sleep(ms(50)).await;
    let package = world.declared.packages.list().remove(0);
    world.declared.packages.apply(fixtures::next_generation((*package).clone()));
    for request in first {
        request.await.unwrap().unwrap();
    }
    ask(&world, &function).await.unwrap();
    assert_eq!(specializations(&world), 2);
}
