//! Nothing survives the platform, and the backend survives its launcher.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::world::{World, alive, host, said, tell, until};
use fission_executor::backend::Backend;
use fission_rpc::endpoint::Address;
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// A platform in a process of its own, and what it said of its only instance.
struct Platform {
    process: Child,
    said: Value,
}

impl Platform {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { said: serde_json::from_str(&line).unwrap(), process }
    }

    fn pid(&self, of: &str) -> u32 {
        u32::try_from(self.said[of].as_u64().unwrap_or_else(|| panic!("{}", self.said))).unwrap()
    }

    fn address(&self) -> Address {
        Address::Unix(self.said["address"].as_str().unwrap().strip_prefix("unix:").unwrap().into())
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn kill(pid: u32) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// Processes in a process namespace.
fn members(namespace: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|ns| ns == namespace)).count()
}

fn command(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("__platform").arg(data);
    command
}

#[tokio::test]
async fn a_killed_platform_leaves_no_process_and_the_next_one_removes_its_files() {
    let data = tempfile::tempdir().unwrap();
    let mut platform = Platform::start(command(&host(), data.path()));
    let (launcher, instance) = (platform.pid("launcher"), platform.pid("instance"));
    said(&platform.address(), "run sleep 600 >/dev/null 2>&1 &").await;
    let namespace = std::fs::read_link(format!("/proc/{instance}/ns/pid")).unwrap();
    assert!(alive(launcher) && alive(instance) && members(&namespace) >= 3);
    let leftover = data.path().join("run/instances/1");
    platform.kill();
    until(|| (!alive(launcher) && members(&namespace) == 0).then_some(())).await;
    assert!(leftover.exists());
    let marker = leftover.join("userfunc/left-behind");
    std::fs::write(&marker, "").unwrap();
    let mut next = Platform::start(command(&host(), data.path()));
    assert!(!marker.exists());
    until(|| (!data.path().join("run/stale").exists()).then_some(())).await;
    next.kill();
}

#[tokio::test]
async fn a_killed_launcher_takes_its_instances_along_and_is_replaced() {
    let world = World::new();
    let mut exits = world.backend.exits();
    let created = world.instance("one").await;
    kill(world.launcher);
    let exit = exits.recv().await.unwrap();
    assert_eq!(exit.why, "killed: the launcher process of the platform ended");
    until(|| (!alive(created.pid.unwrap())).then_some(())).await;
    let again = world.instance("two").await;
    assert_eq!(said(&again.address, "read /proc/sys/kernel/hostname").await.trim(), "two");
}

#[tokio::test]
async fn a_backend_that_is_dropped_ends_its_launcher_and_instances() {
    let world = World::new();
    let launcher = world.launcher;
    let created = world.instance("one").await;
    drop(world);
    until(|| (!alive(launcher) && !alive(created.pid.unwrap())).then_some(())).await;
}

#[tokio::test]
async fn cgroups_are_removed_with_their_instances() {
    let world = World::new();
    let server = world.instance("one").await.pid.unwrap().to_string();
    let prefix = format!("fission-{}-", world.launcher);
    let groups = || {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own: Vec<&str> = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.contains("cgroup"));
        let places = mounts.flat_map(|at| own.iter().map(move |group| format!("{at}{group}")));
        let entries = places.filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
        let ours = entries.filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            // One more is the launcher's own: instances that may not reach every address are in it.
            name.starts_with(&prefix) && !name.ends_with("-net")
        });
        ours.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    // Others are those of the process that waits to be the next instance.
    let lived_in = |group: &PathBuf| {
        std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|all| all.lines().any(|pid| pid == server))
    };
    let of_one: Vec<PathBuf> = groups().into_iter().filter(lived_in).collect();
    let isolation = world.backend.isolation().await.unwrap();
    assert_eq!(!of_one.is_empty(), isolation.has(fission_sandbox::Feature::MemoryLimit));
    world.destroy("one", std::time::Duration::ZERO).await;
    until(|| of_one.iter().all(|group| !group.exists()).then_some(())).await;
    drop(world);
    until(|| groups().is_empty().then_some(())).await;
}

/// Runs only where the tests run as root, which can become someone else.
#[tokio::test]
async fn a_platform_without_root_isolates_its_instances_too() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::getuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, program) = (folder.path().join("data"), folder.path().join("host"));
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(host(), &program).unwrap();
    for path in [folder.path(), &data, &program] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = command(&program, &data);
    command.uid(NOBODY).gid(NOBODY);
    let mut platform = Platform::start(command);
    let (launcher, instance) = (platform.pid("launcher"), platform.pid("instance"));
    let words: Vec<&str> = platform.said["isolation"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for word in ["user", "pid", "mount", "private-files", "no-new-privs", "no-capabilities", "pids-limit"] {
        assert!(words.contains(&word), "{word} is not in {words:?}");
    }
    assert!(!words.contains(&"memory-limit"), "no cgroup may be written, so nothing limits memory: {words:?}");
    let address = platform.address();
    let status = said(&address, "read /proc/self/status").await;
    assert!(status.contains("CapEff:\t0000000000000000") && status.contains("CapBnd:\t0000000000000000"), "{status}");
    assert!(!tell(&address, "write /userfunc/x").await.unwrap().0);
    assert_eq!(said(&address, "read /secrets/ns/db/password").await, "geheim");
    assert!(!tell(&address, "write /secrets/ns/db/password").await.unwrap().0);
    assert!(!tell(&address, &format!("list {}", data.display())).await.unwrap().0);
    let forked: usize = said(&address, "fork").await.parse().unwrap();
    assert!(forked < 256, "{forked}");
    platform.kill();
    until(|| (!alive(launcher) && !alive(instance)).then_some(())).await;
}

/// A platform started by a shell command in which `$0` stands for it and `$1` for its data. `None` where the tests do not
/// run as root or the tools are missing.
fn start_under(wrapper: &str, data: &Path) -> Option<Platform> {
    let tools = ["/usr/bin/unshare", "/usr/bin/setpriv"].iter().all(|tool| Path::new(tool).exists());
    if !tools || !rustix::process::getuid().is_root() {
        return None;
    }
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(wrapper).arg(host()).arg(data);
    Some(Platform::start(shell))
}

#[tokio::test]
async fn root_without_the_rights_of_root_isolates_as_an_ordinary_user_does() {
    for wrapper in [
        "exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$0\" __platform \"$1\"",
        "exec unshare -Ur \"$0\" __platform \"$1\"",
    ] {
        let data = tempfile::tempdir().unwrap();
        let Some(mut platform) = start_under(wrapper, data.path()) else { return };
        let words = platform.said["isolation"].to_string();
        assert!(words.contains("\"user\"") && words.contains("\"private-files\""), "{}", platform.said);
        assert!(said(&platform.address(), "run id").await.starts_with("uid=1000(fission)"));
        assert_eq!(said(&platform.address(), "read /secrets/ns/db/password").await, "geheim");
        platform.kill();
    }
}

#[tokio::test]
async fn where_namespaces_are_forbidden_a_plain_process_runs_and_that_is_said() {
    let wrapper = "exec unshare -Ur /bin/sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; \
                   exec setpriv --bounding-set=-all --inh-caps=-all \"$0\" __platform \"$1\"' \"$0\" \"$1\"";
    let data = tempfile::tempdir().unwrap();
    let Some(mut platform) = start_under(wrapper, data.path()) else { return };
    let words = platform.said["isolation"].to_string();
    for word in ["user", "pid", "mount", "private-files"] {
        assert!(!words.contains(&format!("\"{word}\"")), "{words}");
    }
    assert!(words.contains("no-capabilities") && words.contains("no-new-privs"), "{words}");
    if words.contains("landlock") {
        // The data folder is the platform's own user's, and so is the instance.
        let secret = data.path().join("secret");
        std::fs::write(&secret, "geheim").unwrap();
        let address = platform.address();
        assert!(!tell(&address, &format!("read {}", secret.display())).await.unwrap().0);
        assert!(!tell(&address, &format!("write {}/x", data.path().display())).await.unwrap().0);
        assert_eq!(said(&address, "run echo x > $TMPDIR/y && cat $TMPDIR/y").await, "x\n");
    }
    let refused = platform.said["refused"].as_str().unwrap();
    assert!(refused.contains("below /secrets") && refused.contains("--env-from-secret"), "{refused}");
    let (launcher, instance) = (platform.pid("launcher"), platform.pid("instance"));
    assert_eq!(said(&platform.address(), "pid").await, instance.to_string());
    platform.kill();
    until(|| (!alive(launcher) && !alive(instance)).then_some(())).await;
}
