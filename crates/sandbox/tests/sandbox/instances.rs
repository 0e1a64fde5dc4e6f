//! The backend, with real processes.

use std::time::{Duration, Instant};

use crate::world::{PATIENCE, World, alive, children, host, said, scripted, tell, until};
use fission_environments::Listen;
use fission_executor::backend::{Backend, BackendError};
use fission_executor::configuration::{Configuration, File, Root};
use fission_rpc::endpoint::{Address, InstanceId};
use fission_sandbox::Feature;
use serde_json::json;

#[tokio::test]
async fn an_instance_answers_and_its_server_runs_where_it_was_said_to() {
    let world = World::new();
    let created = world.instance("one").await;
    assert!(matches!(created.address, Address::Unix(_)));
    assert_eq!(said(&created.address, "read /proc/sys/kernel/hostname").await.trim(), "one");
    assert!(alive(created.pid.unwrap()));
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", created.pid.unwrap())).unwrap();
    assert!(line.contains("__server"), "{line:?}");
}

#[tokio::test]
async fn a_server_that_speaks_tcp_is_given_a_port() {
    let world = World::with(|_| {}, Listen::Tcp, host());
    let created = world.instance("tcp").await;
    let Address::Tcp(address) = created.address else { panic!("{}", created.address) };
    assert!(said(&created.address, "variables").await.contains(&format!("RUNTIME_PORT={}\n", address.port())));
}

#[tokio::test]
async fn code_is_readable_at_userfunc_and_cannot_be_written() {
    let world = World::new();
    for (id, version, path) in [("v1", 1, "/userfunc/user"), ("v3", 3, "/userfunc/deployarchive")] {
        let created = world.instance(id).await;
        let address = world.load(id, "print loaded", version, PATIENCE).await.unwrap();
        assert_eq!(address, created.address);
        assert_eq!(said(&address, &format!("read {path}")).await, "print loaded");
        for target in [path, "/userfunc/other", "/secrets/x", "/configs/x", "/usr/x", "/x", "/etc/passwd"] {
            let (written, why) = tell(&address, &format!("write {target}")).await.unwrap();
            assert!(!written && why.contains("os error"), "{target}: {why}");
        }
        assert_eq!(said(&address, "write /tmp/x").await, "written");
    }
}

#[tokio::test]
async fn secrets_and_config_maps_are_files_that_only_the_instance_can_read_and_nobody_write() {
    let world = World::new();
    let code = world.data.path().join("code");
    std::fs::write(&code, "print loaded").unwrap();
    for (id, version) in [("v1", 1), ("v3", 3)] {
        let created = world.instance(id).await;
        let file = |root, path: &str, content: &str| File { root, path: path.into(), content: content.into() };
        let files = vec![
            file(Root::Secrets, "ns/db/password", "geheim"),
            file(Root::Secrets, "ns/db/user", "me"),
            file(Root::Configs, "etc/app/mode", "test"),
        ];
        let configuration = Configuration { files, ..Configuration::default() };
        world.load_with(id, &code, version, PATIENCE, configuration).await.unwrap();
        let address = created.address;
        assert_eq!(said(&address, "read /secrets/ns/db/password").await, "geheim");
        assert_eq!(said(&address, "read /configs/etc/app/mode").await, "test");
        assert!(said(&address, "run stat -c %a /secrets/ns/db/password /secrets/ns/db").await.starts_with("400\n700"));
        for target in ["/secrets/ns/db/password", "/secrets/ns/db/other", "/configs/etc/app/mode", "/configs/x"] {
            let (written, why) = tell(&address, &format!("write {target}")).await.unwrap();
            assert!(!written && why.contains("os error"), "{target}: {why}");
        }
        let change = said(&address, "run chmod 777 /secrets/ns/db/password; rm -f /configs/etc/app/mode").await;
        assert!(change.contains("Read-only file system"), "{change}");
    }
    let other = world.instance("other").await;
    assert_eq!(said(&other.address, "list /secrets").await, "");
}

#[tokio::test]
async fn a_directory_of_code_is_placed_whole() {
    let world = World::new();
    let code = tempfile::tempdir().unwrap();
    std::fs::create_dir(code.path().join("lib")).unwrap();
    std::fs::write(code.path().join("lib/a.txt"), "deep").unwrap();
    let created = world.instance("dir").await;
    world.load_from("dir", code.path(), 3, PATIENCE).await.unwrap();
    assert_eq!(said(&created.address, "read /userfunc/deployarchive/lib/a.txt").await, "deep");
}

#[tokio::test]
async fn what_the_host_has_replaced_is_shown_to_the_next_instance() {
    // Not below `/tmp`, which is private to each instance: what is there is never prepared for several.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().canonicalize().unwrap().join("server");
    std::fs::copy(host(), &program).unwrap();
    let world = World::with(|_| {}, Listen::Unix, program.clone());
    let size = format!("run stat -c %s {}", program.display());
    let before = world.instance("before").await;
    let mut newer = std::fs::read(&program).unwrap();
    newer.push(0);
    std::fs::write(folder.path().join("newer"), &newer).unwrap();
    std::fs::set_permissions(folder.path().join("newer"), std::fs::metadata(&program).unwrap().permissions()).unwrap();
    std::fs::rename(folder.path().join("newer"), &program).unwrap();
    let after = world.instance("after").await;
    let sizes = [said(&before.address, &size).await, said(&after.address, &size).await];
    assert_eq!(sizes.map(|size| size.trim().parse::<usize>().unwrap()), [newer.len() - 1, newer.len()]);
}

#[tokio::test]
async fn an_instance_sees_neither_the_hosts_files_nor_another_instance() {
    let world = World::new();
    let secret = world.data.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    let one = world.instance("one").await;
    let two = world.instance("two").await;
    world.load("two", "secret of two", 3, PATIENCE).await.unwrap();
    for command in [
        format!("read {}", secret.display()),
        format!("list {}", world.data.path().display()),
        "read /etc/shadow".to_owned(),
        "list /proc/1/root".to_owned(),
        "list /sys".to_owned(),
    ] {
        let (could, text) = tell(&one.address, &command).await.unwrap();
        assert!(!could, "{command}: {text}");
    }
    for (command, expected) in [("list /userfunc", ""), ("list /run", "fission")] {
        assert_eq!(said(&one.address, command).await, expected, "{command}");
    }
    // Of a home folder at most the way to the server's own program, which is shown at its place.
    let program = std::env::current_exe().unwrap();
    for home in ["/root", "/home"] {
        let way = program.strip_prefix(home).ok().and_then(|rest| rest.iter().next()).unwrap_or_default();
        assert_eq!(said(&one.address, &format!("list {home}")).await, way.to_string_lossy(), "{home}");
    }
    said(&two.address, "write /tmp/of-two").await;
    assert!(!said(&one.address, "list /tmp").await.contains("of-two"));
}

#[tokio::test]
async fn an_instance_sees_and_signals_only_its_own_processes() {
    let world = World::new();
    let created = world.instance("one").await;
    if !created.isolation.iter().any(|word| word == "proc") {
        return;
    }
    let names = said(&created.address, "list /proc").await;
    let processes: Vec<u32> = names.lines().filter_map(|name| name.parse().ok()).collect();
    assert!(!processes.is_empty() && processes.iter().all(|pid| *pid < 10), "{processes:?}");
    let answer = said(&created.address, &format!("run kill -9 {} && echo done", std::process::id())).await;
    assert!(!answer.contains("done"), "{answer}");
}

#[tokio::test]
async fn an_instance_has_no_capabilities_and_cannot_get_any() {
    let world = World::new();
    let created = world.instance("one").await;
    let status = said(&created.address, "read /proc/self/status").await;
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:\t0000000000000000")) {
        assert!(status.contains(&line), "{line} is not in {status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"));
    assert!(status.contains("Uid:\t1000\t1000\t1000\t1000"));
    let outside = std::fs::read_to_string(format!("/proc/{}/status", created.pid.unwrap())).unwrap();
    assert!(!outside.contains("Uid:\t0\t"), "{outside}");
}

#[tokio::test]
async fn open_descriptors_of_the_platform_do_not_reach_an_instance() {
    let world = World::new();
    // The second one's first process was there before.
    for id in ["one", "two"] {
        let created = world.instance(id).await;
        let held = std::fs::read_dir(format!("/proc/{}/fd", created.pid.unwrap())).unwrap();
        // Its own may be closed while this looks.
        let targets: Vec<_> = held.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok()).collect();
        let count = |kind: &str| targets.iter().filter(|target| target.to_string_lossy().starts_with(kind)).count();
        assert_eq!((count("/dev/null"), count("pipe:")), (1, 2), "{targets:?}");
        assert_eq!(count("socket:") + 3, targets.len(), "its own sockets: {targets:?}");
    }
}

#[tokio::test]
async fn an_instance_over_its_memory_limit_is_killed_and_that_is_said() {
    let world = World::new();
    let mut exits = world.backend.exits();
    let created = world.create("big", json!({"resources": {"limits": {"memory": "64Mi"}}})).await.unwrap();
    if !created.isolation.iter().any(|word| word == "memory-limit") {
        return;
    }
    assert!(tell(&created.address, "memory 200").await.is_err());
    let exit = exits.recv().await.unwrap();
    assert_eq!((exit.id, exit.why.as_str()), (InstanceId("big".into()), "killed: over its memory limit of 64 MiB"));
}

#[tokio::test]
async fn a_fork_bomb_is_contained_and_ends_with_its_instance() {
    let world = World::with(|options| options.limits.pids = 40, Listen::Unix, host());
    let created = world.instance("bomb").await;
    assert!(created.isolation.iter().any(|word| word == "pids-limit"), "{:?}", created.isolation);
    let started: usize = said(&created.address, "fork").await.parse().unwrap();
    assert!((1..40).contains(&started), "{started}");
    let children = children(created.pid.unwrap());
    world.destroy("bomb", Duration::ZERO).await;
    assert!(!children.into_iter().any(alive));
}

#[tokio::test]
async fn an_instance_that_ends_by_itself_is_told_with_its_reason() {
    let world = World::new();
    let mut exits = world.backend.exits();
    let (quits, killed) = (world.instance("quits").await, world.instance("killed").await);
    assert!(tell(&quits.address, "exit 7").await.is_err());
    let exit = exits.recv().await.unwrap();
    assert_eq!((exit.id, exit.why.as_str()), (InstanceId("quits".into()), "exited with code 7"));
    assert!(tell(&killed.address, "run kill -9 $PPID").await.is_err());
    let exit = exits.recv().await.unwrap();
    assert_eq!((exit.id, exit.why.as_str()), (InstanceId("killed".into()), "killed by signal 9"));
    until(|| (world.directories() == 0).then_some(())).await;
}

#[tokio::test]
async fn an_instance_that_is_destroyed_is_gone_and_never_told_as_an_exit() {
    let world = World::new();
    let mut exits = world.backend.exits();
    let created = world.instance("one").await;
    world.destroy("one", PATIENCE).await;
    assert!(!alive(created.pid.unwrap()));
    assert_eq!(world.directories(), 0);
    world.destroy("one", PATIENCE).await;
    world.destroy("never", PATIENCE).await;
    let other = world.instance("other").await;
    assert!(tell(&other.address, "exit 0").await.is_err());
    assert_eq!(exits.recv().await.unwrap().id, InstanceId("other".into()));
}

#[tokio::test]
async fn an_instance_that_does_not_end_when_asked_is_killed_after_its_grace() {
    let world = World::new();
    let created = world.create("stubborn", scripted("stubborn")).await.unwrap();
    let begin = Instant::now();
    world.destroy("stubborn", Duration::from_millis(200)).await;
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert!(!alive(created.pid.unwrap()));
}

#[tokio::test]
async fn a_server_that_ends_at_its_start_is_told_with_its_last_output() {
    let world = World::new();
    let error = world.create("quits", scripted("exit")).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "instance quits ended before it was ready: it was exited with code 3. Its last output:\nabout to give up"
    );
    world.lines.wait_for("about to give up").await;
    until(|| (world.directories() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_limit() {
    let world = World::with(|o| o.ready_timeout = Duration::from_secs(1), Listen::Unix, host());
    let error = world.create("silent", scripted("silent")).await.unwrap_err().to_string();
    assert_eq!(error, "instance silent did not answer within 1 s after its start");
    until(|| (world.directories() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_prints_much_before_it_answers_does_not_stand_still() {
    let world = World::new();
    world.create("noisy", scripted("noisy")).await.unwrap();
    let owner = world.lines.wait_for("line 19999").await;
    assert_eq!((owner.instance.as_str(), owner.environment.as_str()), ("noisy", "env"));
}

#[tokio::test]
async fn giving_up_on_an_instance_ends_it() {
    let world = World::new();
    let making = world.create("silent", scripted("silent"));
    assert!(tokio::time::timeout(Duration::from_millis(500), making).await.is_err());
    until(|| (world.directories() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let world = World::with(|_| {}, Listen::Unix, "/no/such/program".into());
    let error = world.create("none", json!({})).await.unwrap_err().to_string();
    assert!(error.contains("starting /no/such/program: No such file or directory"), "{error}");
}

#[tokio::test]
async fn an_environment_that_cannot_run_here_is_refused_when_it_is_prepared() {
    let world = World::new();
    for (spec, part) in [
        (json!({"runtime": {"image": "unknown"}}), "image unknown is not built in"),
        (json!({"resources": {"limits": {"memory": "lots"}}}), "resources.limits.memory: lots"),
    ] {
        let error = world.backend.prepare(&crate::world::environment(spec)).await.unwrap_err();
        assert!(matches!(error, BackendError::Unsupported { .. }) && error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn what_the_environment_says_of_bad_code_reaches_the_user() {
    let world = World::new();
    world.instance("bad").await;
    let error = world.load("bad", "refuse SyntaxError: line 3", 3, PATIENCE).await.unwrap_err();
    let BackendError::Refused { status: 400, message } = error else { panic!("{error}") };
    assert_eq!(message, "SyntaxError: line 3");
}

#[tokio::test]
async fn an_instance_that_ends_while_it_loads_is_broken_with_the_reason() {
    let world = World::new();
    world.instance("dies").await;
    let error = world.load("dies", "exit 9", 3, PATIENCE).await.unwrap_err();
    assert!(matches!(error, BackendError::Broken { .. }));
    let expected = "instance dies ended while it loaded the function: it was exited with code 9";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_load_that_hangs_is_given_up_after_its_limit() {
    let world = World::new();
    world.instance("hangs").await;
    let error = world.load("hangs", "hang", 3, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "instance hangs did not load the function within 1 s");
}

#[tokio::test]
async fn output_belongs_to_the_function_once_it_is_loaded() {
    let world = World::new();
    let created = world.instance("one").await;
    said(&created.address, "print before").await;
    assert_eq!(world.lines.wait_for("before").await.function, "");
    world.load("one", "print while loading", 3, PATIENCE).await.unwrap();
    assert_eq!(world.lines.wait_for("while loading").await.function, "hello");
}

#[tokio::test]
async fn a_data_folder_too_long_for_a_socket_works_all_the_same() {
    let world = World::with(|options| options.data_dir.push("x".repeat(150)), Listen::Unix, host());
    let created = world.instance("one").await;
    let Address::Unix(path) = &created.address else { panic!("{}", created.address) };
    assert!(path.as_os_str().len() <= 107);
    assert_eq!(said(&created.address, "read /proc/sys/kernel/hostname").await.trim(), "one");
    let link = path.ancestors().nth(3).unwrap();
    std::fs::remove_dir_all(link).unwrap();
}

#[tokio::test]
async fn environment_variables_reach_the_server() {
    let world = World::new();
    let created = world.create("one", scripted("none")).await.unwrap();
    let variables = said(&created.address, "variables").await;
    for line in ["SCRIPT=none\n", "FISSION_SOCKET=/run/fission/fn.sock\n", "HOME=/tmp\n"] {
        assert!(variables.contains(line), "{line} is not in {variables}");
    }
    assert!(!variables.contains("CARGO"), "the platform's own variables are not handed on: {variables}");
}

#[tokio::test]
async fn a_script_runs_in_the_binary_environment() {
    let cache = tempfile::tempdir().unwrap();
    let world = World::of_built_in_environments(cache.path());
    world.create("sh", json!({"runtime": {"image": "fission/binary-env"}})).await.unwrap();
    let address = world.load("sh", "#!/bin/sh\necho \"Hello, world!\"\nid -un\n", 3, PATIENCE).await.unwrap();
    assert!(said(&address, "").await.contains("Hello, world!"));
}

#[tokio::test]
async fn variables_of_a_function_reach_it_whatever_the_version_of_its_environment() {
    let cache = tempfile::tempdir().unwrap();
    let world = World::of_built_in_environments(cache.path());
    let code = world.data.path().join("code");
    std::fs::write(&code, "#!/bin/sh\necho \"said $GREETING\"\n").unwrap();
    for (id, version) in [("v1", 1), ("v2", 2), ("v3", 3)] {
        world.create(id, json!({"version": version, "runtime": {"image": "fission/binary-env"}})).await.unwrap();
        let env = [("GREETING".to_owned(), "hello".to_owned())].into();
        let configuration = Configuration { env, ..Configuration::default() };
        let address = world.load_with(id, &code, version, PATIENCE, configuration).await.unwrap();
        assert!(said(&address, "").await.contains("said hello"), "{id}");
    }
}

#[tokio::test]
async fn a_function_cannot_have_requests_sent_to_another_socket_of_the_host() {
    let world = World::new();
    let trap = std::os::unix::net::UnixListener::bind(world.data.path().join("trap")).unwrap();
    trap.set_nonblocking(true).unwrap();
    let created = world.instance("one").await;
    let link = format!("run ln -sf {}/trap /run/fission/fn.sock", world.data.path().display());
    let _ = tell(&created.address, &link).await.unwrap();
    assert_eq!(said(&created.address, "read /proc/sys/kernel/hostname").await.trim(), "one");
    assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    if rustix::process::getuid().is_root() {
        assert!(!tell(&created.address, "write /run/fission/x").await.unwrap().0, "it could fill the host's disk");
    }
}

#[tokio::test]
async fn system_calls_that_reach_beyond_an_instance_are_refused_and_an_environment_may_ask_for_more() {
    let world = World::new();
    let isolation = world.backend.isolation().await.unwrap();
    assert!(isolation.has(Feature::Seccomp), "{isolation:?}");
    let address = world.instance("one").await.address;
    let status = said(&address, "read /proc/self/status").await;
    assert!(status.contains("Seccomp:\t2"), "{status}");
    let refused = said(&address, "run unshare -U true 2>&1").await;
    assert!(refused.contains("Operation not permitted"), "{refused}");
    let error = world.create("two", json!({ "runtime": { "image": "calls:mount" } })).await.unwrap_err().to_string();
    assert!(error.contains("environment.toml") && error.contains("mount") && error.contains("ptrace"), "{error}");
    world.create("three", json!({ "runtime": { "image": "calls:ptrace" } })).await.unwrap();
}
