//! The process that waits to be the next instance.

use fission_executor::backend::Backend;
use fission_rpc::endpoint::Address;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::world::{World, alive, children, said, tell, until};

/// The process that waits: the only one the launcher made that has started nothing.
async fn spare(world: &World) -> u32 {
    until(|| children(world.launcher).into_iter().find(|process| children(*process).is_empty())).await
}

async fn host_name(address: &Address) -> String {
    said(address, "read /proc/sys/kernel/hostname").await.trim().to_owned()
}

fn kill(process: u32) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn it_becomes_the_next_instance_like_the_last_one() {
    let world = World::new();
    world.instance("one").await;
    let waiting = spare(&world).await;
    let two = world.instance("two").await;
    assert_eq!(children(waiting), [two.pid.unwrap()]);
    assert_eq!(host_name(&two.address).await, "two");
    assert_ne!(spare(&world).await, waiting, "the next one waits");
}

#[tokio::test]
async fn an_instance_unlike_the_last_one_has_its_own_limits() {
    let world = World::new();
    let mut exits = world.backend.exits();
    world.instance("one").await;
    let waiting = spare(&world).await;
    let small = world.create("small", json!({"resources": {"limits": {"memory": "64Mi"}}})).await.unwrap();
    until(|| (!alive(waiting)).then_some(())).await;
    if small.isolation.iter().any(|word| word == "memory-limit") {
        assert!(tell(&small.address, "memory 200").await.is_err());
        assert_eq!(exits.recv().await.unwrap().why, "killed: over its memory limit of 64 MiB");
    }
}

#[tokio::test]
async fn one_that_was_killed_is_not_missed() {
    let world = World::new();
    world.instance("one").await;
    let waiting = spare(&world).await;
    kill(waiting);
    until(|| (!alive(waiting)).then_some(())).await;
    let two = world.instance("two").await;
    assert_eq!(host_name(&two.address).await, "two");
}

#[tokio::test]
async fn it_ends_with_the_launcher() {
    let world = World::new();
    world.instance("one").await;
    let waiting = spare(&world).await;
    kill(world.launcher);
    until(|| (!alive(waiting)).then_some(())).await;
}
