//! Attempts to use up what everyone shares: processes, threads, descriptors, memory, disk, log.

use serde_json::Value;

use crate::ground::{Ground, skipped};
use crate::world::eventually;

/// A bomb stops by itself, at an error and below a number.
async fn stops(ground: &Ground, attempt: &str, at: &str, below: u64) {
    let said = ground.outcome(attempt).await;
    assert!(said["then"].as_str().unwrap().contains(at), "{attempt}: {said}");
    assert!(said["made"].as_u64().unwrap() < below, "{attempt}: {said}");
}

pub(crate) async fn a_fork_bomb_stops_at_its_limit(ground: &Ground) {
    stops(ground, "fork_bomb", "EAGAIN", 256).await;
}

pub(crate) async fn a_thread_bomb_stops_at_its_limit(ground: &Ground) {
    stops(ground, "thread_bomb", "start new thread", 256).await;
}

pub(crate) async fn a_descriptor_bomb_stops_at_its_limit(ground: &Ground) {
    stops(ground, "descriptor_bomb", "EMFILE", 16_385).await;
}

pub(crate) async fn a_zombie_bomb_stops_at_its_limit(ground: &Ground) {
    stops(ground, "zombie_bomb", "EAGAIN", 256).await;
}

pub(crate) async fn a_memory_bomb_is_killed_and_the_limit_is_named(ground: &Ground) {
    if ground.isolation["memory-limit"].is_some() {
        // It would take the memory of everything else on this machine.
        return skipped("no cgroup limits memory here");
    }
    ground.attacker("memory-bomb", &[]);
    let (status, body) = ground.try_it("memory-bomb", "memory_bomb").await;
    assert!(status == 500 && body.contains("killed: over its memory limit of 512 MiB"), "{status} {body}");
    eventually("the pod says so too", || async {
        let pods = ground.platform.object("/api/v1/namespaces/default/pods").await;
        pods.to_string().contains("over its memory limit of 512 MiB")
    })
    .await;
    let (status, _) = ground.try_it("memory-bomb", "own_loopback").await;
    assert_eq!(status, 200, "the next request is served by another instance");
}

pub(crate) async fn a_full_disk_is_its_own(ground: &Ground) {
    for folder in ["/tmp", "/dev/shm"] {
        let said = ground.outcome(&format!("disk_flood&folder={folder}")).await;
        assert_eq!(said["then"], "ENOSPC", "{folder}: {said}");
        assert!(said["written"].as_u64().unwrap() <= 256 << 20, "{folder}: {said}");
    }
    let said = ground.outcome("write&paths=/run/fission/flood,/userfunc/flood,/var/tmp/flood").await;
    assert!(said.as_object().unwrap().values().all(|answer| answer != "written"), "{said}");
}

pub(crate) async fn a_flood_of_reads_leaves_the_disk_to_others(ground: &Ground) {
    if !ground.has_or_skips("io-limit") {
        return;
    }
    let said = ground.outcome("read_flood").await;
    let (read, seconds) = (said["read"].as_f64().unwrap(), said["seconds"].as_f64().unwrap());
    let limit = 256.0 * 1024.0 * 1024.0;
    // The kernel counts in slices, and what it let go before the first one ended comes on top.
    assert!(read > 0.0 && read / seconds < 1.2 * limit, "{said}");
}

pub(crate) async fn a_flood_of_files_is_its_own(ground: &Ground) {
    let said = ground.outcome("file_flood").await;
    assert_eq!(said["then"], "ENOSPC", "{said}");
    assert!(said["made"].as_u64().unwrap() <= 65_536, "{said}");
}

pub(crate) async fn a_flood_of_lines_stops_no_one(ground: &Ground) {
    let said = ground.outcome("log_flood&lines=50000").await;
    assert_eq!(said, Value::from("printed"));
}
