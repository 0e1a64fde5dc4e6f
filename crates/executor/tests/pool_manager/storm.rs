//! Everything at once, on real threads: crashes, refusals, updates, reaping, senders that go away.

use fission_executor::Options;
use fission_executor::backend::BackendError;
use fission_rpc::instances::Phase;
use fission_testkit::{World, eventually, fixtures};

use super::*;

/// Instances the machine has room for: few, so that a lost one would be missed.
const ROOM: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_every_request_is_answered_no_limit_is_broken_and_no_room_is_lost() {
    let options = Options { reap_interval: ms(2), max_instances: ROOM, ..Options::default() };
    let world = Arc::new(World::new(options, 2));
    let mut functions: Vec<_> = (0..6)
        .map(|number| {
            let mut function = fixtures::function(&format!("f{number}"));
            function.spec.idle_timeout = Some(0);
            function.spec.concurrency = 3;
            function.spec.once_only = number == 0;
            function.spec.requests_per_pod = number;
            world.declare(function)
        })
        .collect();
    world.backend.on_specialize(|id, _| {
        (rand::random::<u8>() < 8).then(|| BackendError::Broken { instance: id.clone(), why: "was unlucky".into() })
    });
    let mut requests = Vec::new();
    for round in 0..60 {
        for function in &functions {
            requests.extend(burst(&world, function, 4, ms(u64::from(rand::random::<u8>() % 8))));
        }
        for _ in 0..2 {
            requests.swap_remove(usize::from(rand::random::<u8>()) % requests.len()).abort();
        }
        if round % 3 == 0 {
            let changed = &mut functions[round % 6];
            *changed = world.update(fixtures::next_generation((**changed).clone()));
        }
        if round % 4 == 0
            && let Some(unlucky) = world.backend.living().first()
        {
            world.backend.crash(unlucky, "killed by signal 9");
        }
        tokio::time::sleep(ms(3)).await;
    }
    let mut refused = 0;
    for request in requests {
        let answer = tokio::time::timeout(Duration::from_secs(30), request).await.expect("a request was forgotten");
        refused += usize::from(answer.unwrap().is_err());
    }
    assert!(refused < 60, "{refused} refused");
    assert!(world.backend.most_living() <= ROOM, "{}", world.backend.most_living());
    eventually("only the pool is left", || {
        world.backend.living().len() == 2 && in_phase(&world, Phase::Specialized).is_empty()
    })
    .await;
    // All room is there again: as many instances at once as at the start.
    world.backend.on_specialize(|_, _| None);
    let mut all = Vec::new();
    for number in 0..ROOM {
        let function = world.declare(fixtures::function(&format!("last{number}")));
        all.push(world.request(&function, Duration::from_secs(10)).await.unwrap());
    }
    assert_eq!(in_phase(&world, Phase::Specialized).len(), ROOM);
}
