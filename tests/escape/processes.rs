//! Attempts on other processes: of the platform, of a neighbour, of the host.

use crate::ground::Ground;

pub(crate) async fn only_its_own_processes_are_seen(ground: &Ground) {
    let seen = ground.outcome("processes").await;
    let seen = seen.as_object().expect("processes");
    assert!(!seen.is_empty() && seen.len() <= 3, "{seen:?}");
    for command in seen.values() {
        assert!(!command.to_string().contains("fission up"), "{seen:?}");
    }
}

pub(crate) async fn other_processes_cannot_be_looked_into(ground: &Ground) {
    let (platform, neighbour) = (ground.platform.pid(), ground.pid_of("neighbour").await);
    for pid in [platform, neighbour] {
        ground.all_refused(&format!("look_into&pid={pid}"), &["ENOENT", "EPERM", "ESRCH"]).await;
    }
    // The first process of its own namespace is the platform's too: nothing of it may be had.
    ground.all_refused("look_into&pid=1", &["ENOENT", "EPERM", "EACCES", "ESRCH"]).await;
}

pub(crate) async fn signals_do_not_reach_the_platform_or_a_neighbour(ground: &Ground) {
    let (platform, neighbour) = (ground.platform.pid(), ground.pid_of("neighbour").await);
    ground.all_refused(&format!("signals&pids={platform},{neighbour},1"), &["ESRCH", "EPERM"]).await;
    assert_eq!(ground.pid_of("neighbour").await, neighbour, "it is the same instance as before");
}

pub(crate) async fn it_cannot_make_itself_last_to_die(ground: &Ground) {
    let answer = ground.outcome("out_of_memory_score").await;
    assert_eq!(answer, "EACCES", "the kernel ends an instance before the platform");
}
