//! The machine around the platform: another user, no Node.js, a full disk, a damaged file, a second platform.

use std::fs;
use std::process::Command;

use crate::world::{Platform, Start, eventually, printed, required};

const HELLO: &str = "module.exports = async () => ({ status: 200, body: 'Hello, world!\\n' });\n";
const SHELL: &str = "#!/bin/sh\necho shell\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_privileges_gets_hello_world_and_is_told_what_isolates_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = Start::default();
    if rustix::process::geteuid().is_root() {
        start = Start::as_nobody(folder.path(), &["nodejs", "binary"]);
    }
    let platform = Platform::start_in(folder, start);
    platform.deploy("fission/node-env", "hello", "hello.js", HELLO);
    platform.deploy("fission/binary-env", "shell", "shell.sh", SHELL);
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
    assert_eq!(platform.get("/hello").await, (200, "Hello, world!\n".into()));
    // A build leaves folders only their owner may list; they go all the same.
    platform.source("built/build.sh", "mkdir -p locked/in && chmod 555 locked && cp /bin/echo made && id -u");
    let source = platform.data().join("src/built");
    let create = ["function", "create", "--name", "built", "--env", "binary-env", "--entrypoint", "made", "--src"];
    platform.ok(&[&create[..], &[source.to_str().unwrap()]].concat());
    platform.route("built");
    assert_eq!(platform.get("/built").await, (200, "\n".into()));
    let run = platform.data().join("run/instances");
    eventually("no files of the build are left", || async {
        fs::read_dir(&run).unwrap().all(|entry| !entry.unwrap().path().join("work").exists())
    })
    .await;
    let owner =
        fs::metadata(platform.data().join("status.json")).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
    assert_ne!(owner.unwrap(), 0);
    let check = platform.fission(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    for part in ["isolation", "user", "pid", "mount", "no-new-privs", "memory-limit"] {
        assert!(said.contains(part), "{part} is reported, applied or not: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_isolation_is_told_and_without_what_is_required_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = Start::default();
    if rustix::process::geteuid().is_root() {
        start = Start::as_nobody(folder.path(), &["binary"]);
    }
    start.arguments = vec!["--require-isolation=no-new-privs,no-capabilities".into()];
    let (words, binary) = (start.through.clone(), start.binary.clone());
    let platform = Platform::start_in(folder, start);
    platform.deploy("fission/binary-env", "shell", "shell.sh", SHELL);
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
    let report = platform.object("/fission/v1/status").await;
    let lines = report["isolation"].as_array().unwrap();
    let missing: Vec<&str> =
        lines.iter().filter(|line| line["applied"] == false).filter_map(|line| line["feature"].as_str()).collect();
    // Whatever user this is: not one of those that concern a function without a limit on its processor time.
    let concern = |feature: &&&str| !["cpu-limit", "network"].contains(*feature);
    for feature in missing.iter().filter(concern) {
        eventually("the function's status and its pod name it", || async {
            let function = platform.object("/apis/fission.io/v1/namespaces/default/functions/shell").await;
            let pods = platform.instances_of("shell").await;
            let annotation = pods[0]["metadata"]["annotations"]["fission.io/isolation-missing"].as_str().unwrap();
            function["status"]["conditions"].to_string().contains(feature) && annotation.contains(feature)
        })
        .await;
    }
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_fission").into());
    let up = |required: &str| {
        let mut words = words.iter().map(std::ffi::OsString::from).chain([binary.clone().into_os_string()]);
        let mut command = Command::new(words.next().unwrap());
        let arguments =
            ["up", "--ephemeral", "--listen-api", "127.0.0.1:0", "--listen-router", "127.0.0.1:0", required];
        let output = command.args(words).args(arguments).current_dir("/").output().unwrap();
        assert!(!output.status.success(), "it does not run");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = up("--require-isolation=walls");
    assert!(said.contains("there is no such part") && said.contains("seccomp"), "{said}");
    if !missing.is_empty() {
        let said = up("--require-isolation");
        for feature in missing {
            assert!(said.contains(&format!("{feature}: ")), "{feature} is named: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_node_says_what_to_install_and_serves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    // Only what the platform itself may need, and no language.
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    for program in ["sh", "echo", "cat"] {
        std::os::unix::fs::symlink(format!("/bin/{program}"), programs.join(program)).unwrap();
    }
    let path = programs.to_str().unwrap().to_owned();
    let cache = folder.path().join("environments").to_str().unwrap().to_owned();
    let variables = vec![("PATH".into(), path), ("FISSION_ENVIRONMENT_CACHE".into(), cache)];
    let platform = Platform::start_in(folder, Start { variables, ..Start::default() });
    platform.deploy("fission/node-env", "hello", "hello.js", HELLO);
    platform.deploy("fission/binary-env", "shell", "shell.sh", SHELL);
    let (status, body) = platform.get("/hello").await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("node") && body.contains("install"), "it says what to install: {body}");
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_platforms_side_by_side_know_nothing_of_each_other() {
    let (one, two) = (Platform::start(), Platform::start());
    for (platform, text) in [(&one, "one"), (&two, "two")] {
        let source = format!("#!/bin/sh\necho {text}\n");
        platform.deploy("fission/binary-env", "same", "same.sh", &source);
    }
    assert_eq!(one.get("/same").await, (200, "one\n".into()));
    assert_eq!(two.get("/same").await, (200, "two\n".into()));
    one.ok(&["function", "delete", "--name", "same"]);
    assert_eq!(two.get("/same").await, (200, "two\n".into()));
    drop(one);
    assert_eq!(two.get("/same").await, (200, "two\n".into()));
    assert_eq!(two.instances_of("same").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_serves_on_until_there_is_room_again() {
    let platform = Platform::start_as(Start { disk_mib: Some(24), ..Start::default() });
    platform.deploy("fission/binary-env", "shell", "shell.sh", SHELL);
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
    let filler = platform.data().join("filler");
    let filled = fs::File::create(&filler).and_then(|mut file| std::io::copy(&mut std::io::repeat(1), &mut file));
    assert!(filled.is_err(), "the disk is full");

    let create = |n: u32| {
        let object = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("c{n}") }, "data": { "x": "y".repeat(100_000) } });
        let url = format!("{}/api/v1/namespaces/default/configmaps", platform.api);
        platform.http().post(url).bearer_auth(platform.token()).json(&object).send()
    };
    let mut refused = None;
    for n in 0..40 {
        let response = create(n).await.unwrap();
        if response.status() != 201 {
            refused = Some((response.status(), response.json::<serde_json::Value>().await.unwrap()));
            break;
        }
    }
    let (status, body) = refused.expect("a write is refused when there is no room for it");
    assert_eq!(body["kind"], "Status", "{status} {body}");
    assert!(body["message"].as_str().unwrap().contains("disk"), "{body}");
    // What is declared is served, from memory and also newly started.
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
    let list = platform.object("/apis/fission.io/v1/namespaces/default/functions").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let upload = platform.source_elsewhere("big.bin", &"x".repeat(4 << 20));
    let said = platform.fails(&["archive", "upload", "--name", &upload]);
    assert!(said.contains("space") || said.contains("disk"), "{said}");

    fs::remove_file(&filler).unwrap();
    eventually("there is room again", || async { create(100).await.unwrap().status() == 201 }).await;
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_reported_by_name_and_the_rest_works() {
    let mut platform = Platform::start();
    platform.deploy("fission/binary-env", "shell", "shell.sh", SHELL);
    for name in ["healthy", "damaged"] {
        let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ key: value }}\n");
        platform.kubectl(&["apply", "-f", &platform.source(&format!("{name}.yaml"), &object)]);
    }
    assert_eq!(platform.stop(), Some(0));
    let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\nn = db.execute(\"update objects set body = substr(body, 1, length(body) - 3) || x'000000' where name = 'damaged'\").rowcount\ndb.commit()\nassert n == 1, n\n";
    let python = required("FISSION_TEST_PYTHON", "a Python; `make test` sets it");
    let output = Command::new(python).args(["-c", script]).arg(platform.data().join("api/apiserver.db")).output();
    printed(output.unwrap(), &["damage"]);
    platform.restart();
    assert!(platform.own_log().contains("damaged"), "the platform names it: {}", platform.own_log());
    let asked = platform.kubectl_output(&["get", "configmap", "damaged"]);
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && said.contains("damaged") && !said.contains("not found"), "{said}");
    assert!(platform.kubectl(&["get", "configmap", "healthy", "-o", "jsonpath={.data.key}"]).contains("value"));
    assert_eq!(platform.get("/shell").await, (200, "shell\n".into()));
}
