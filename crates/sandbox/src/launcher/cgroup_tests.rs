//! Tests of finding cgroups, on texts and folders that look like the kernel's.

use super::*;

const MOUNTS: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
    cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
    cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
    cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

#[test]
fn hierarchies_of_both_versions_are_found() {
    let memory = hierarchies(MOUNTS, "memory");
    assert_eq!(
        memory,
        [(PathBuf::from("/sys/fs/cgroup/memory"), false), (PathBuf::from("/sys/fs/cgroup/unified"), true)]
    );
    assert_eq!(hierarchies(MOUNTS, "cpu")[0].0, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
    let disks = hierarchies("cgroup /sys/fs/cgroup/blkio cgroup rw,blkio 0 0\n", "io");
    assert_eq!(disks, [(PathBuf::from("/sys/fs/cgroup/blkio"), false)], "its name before");
    assert!(hierarchies("", "memory").is_empty());
}

#[test]
fn the_platforms_own_group_is_read_for_each_version() {
    let own = "4:memory:/a/b:c\n3:cpu,cpuacct:/d\n0::/user.slice/e\n";
    assert_eq!(own_group(own, "memory", false), "/a/b:c");
    assert_eq!(own_group(own, "cpu", false), "/d");
    assert_eq!(own_group(own, "memory", true), "/user.slice/e");
    assert_eq!(own_group("", "memory", true), "/");
}

#[test]
fn without_a_hierarchy_the_reason_is_told() {
    assert_eq!(find("", "", "memory").unwrap_err(), "no cgroup hierarchy with the memory controller is mounted");
}

#[test]
fn a_unified_group_without_the_controller_is_refused_by_name() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("cgroup.controllers"), "cpu io\n").unwrap();
    std::fs::write(base.path().join("cgroup.subtree_control"), "").unwrap();
    assert!(switch_on(base.path(), "memory").unwrap_err().to_string().contains("memory controller"));
    switch_on(base.path(), "cpu").unwrap();
    assert_eq!(std::fs::read_to_string(base.path().join("cgroup.subtree_control")).unwrap(), "+cpu");
}

#[test]
fn unified_limits_are_written_and_a_kill_for_memory_is_seen() {
    let base = tempfile::tempdir().unwrap();
    let directory = base.path().join("group");
    let controller = |feature| Controller { feature, base: base.path().to_owned(), unified: true };
    let limits = Limits { memory: 64 << 20, pids: 7, cpu_millis: Some(500), open_files: 1, file_bytes: None };
    let mut group = Group { directories: vec![directory.clone()], ..Group::default() };
    std::fs::create_dir(&directory).unwrap();
    for feature in [Feature::MemoryLimit, Feature::PidsLimit, Feature::CpuLimit] {
        controller(feature).limit(&directory, &limits, &Disks::default(), &mut group).unwrap();
    }
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap();
    assert_eq!(
        (read("memory.max"), read("pids.max"), read("cpu.max")),
        ("67108864".to_owned(), "7".to_owned(), "50000 100000".to_owned())
    );
    assert!(!group.ran_out_of_memory());
    std::fs::write(directory.join("memory.events"), "oom 1\noom_kill 1\n").unwrap();
    assert!(group.ran_out_of_memory());
}
