//! Attempts on files: of the host, of the platform, of a neighbour, of the runtime, and by way of archives.

use std::process::Command;

use serde_json::Value;

use crate::ground::{CODE_MARK, Ground, SECRET_MARK};
use crate::world::{printed, required};

pub(crate) async fn files_of_the_host_are_not_there(ground: &Ground) {
    let data = ground.platform.data().display().to_string();
    let own = ["token", "internal-secret", "kubeconfig", "status.json", "api", "archives", "run"];
    let mut paths: Vec<String> = own.iter().map(|name| format!("{data}/{name}")).collect();
    let host = ["/etc/shadow", "/etc/gshadow", "/var/log", "/var/lib", "/run/systemd"];
    paths.extend(host.map(str::to_owned));
    let home = std::path::Path::new("/root");
    paths.extend([".ssh", ".bashrc", ".kube", ".aws"].map(|name| home.join(name).display().to_string()));
    let sockets = ["/var/run/docker.sock", "/run/dbus/system_bus_socket", "/sys/fs/cgroup", "/sys/kernel", "/boot"];
    paths.extend(sockets.map(str::to_owned));
    ground.all_refused(&format!("read&paths={}", paths.join(",")), &["ENOENT"]).await;
    // Python itself may be in a home, and then the way to it is there and nothing else.
    let runtime = ground.outcome("runtime").await;
    let homes = ground.outcome("read&paths=/home,/root").await;
    for folder in ["/home", "/root"] {
        for name in
            homes[folder].as_str().unwrap().trim_start_matches("a folder: ").split(',').filter(|n| !n.is_empty())
        {
            let way = format!("{folder}/{name}");
            let leads = runtime.as_array().unwrap().iter().any(|path| path.as_str().unwrap().starts_with(&way));
            assert!(leads || homes[folder] == "EACCES", "{way} is there: {homes}");
        }
    }
    let passwd = ground.outcome("read&paths=/etc/passwd").await.to_string();
    assert!(passwd.contains("fission"), "it has a list of users of its own: {passwd}");
}

pub(crate) async fn code_and_secrets_of_others_are_nowhere(ground: &Ground) {
    let token = ground.platform.token();
    for mark in [CODE_MARK, SECRET_MARK, &token] {
        let found = ground.outcome(&format!("search&text={mark}")).await;
        assert_eq!(found, Value::Array(Vec::new()), "{mark}");
    }
}

pub(crate) async fn the_runtime_and_its_own_code_cannot_be_written(ground: &Ground) {
    let paths = "/usr/bin/x,/usr/lib/x,/bin/sh,/etc/passwd,/etc/x,/x,/userfunc/x,/userfunc/deployarchive,/secrets/x,\
                 /configs/x,/run/fission/x,/dev/x,/proc/sys/kernel/core_pattern,/proc/sysrq-trigger";
    ground.all_refused(&format!("write&paths={paths}"), &["EROFS", "EACCES", "EPERM", "ENOENT"]).await;
}

pub(crate) async fn devices_cannot_be_made_or_opened(ground: &Ground) {
    ground.all_refused("devices", &["EPERM", "ENOENT"]).await;
}

pub(crate) async fn set_user_id_programs_give_nothing(ground: &Ground) {
    let said = ground.outcome("set_user_id").await;
    assert_eq!(said["own"], said["uid"], "a program of its own with the bit set gives nothing: {said}");
    assert_ne!(said["uid"], "0", "{said}");
    assert!(said["nosuid"].as_object().unwrap().values().all(|no| no == true), "{said}");
    for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        assert_eq!(said[set], "0000000000000000", "{set}: {said}");
    }
    assert_eq!((&said["NoNewPrivs"], &said["Seccomp"]), (&"1".into(), &"2".into()));
    // Its user namespace has no root to become.
    assert!(said["setuid"] == "EINVAL" || said["setuid"] == "EPERM", "{said}");
}

pub(crate) async fn links_lead_nowhere(ground: &Ground) {
    let said = ground.outcome("links").await;
    for (what, answer) in said.as_object().unwrap() {
        let answer = answer.as_str().unwrap();
        match what.as_str() {
            "climb" => assert!(answer.contains("userfunc"), "above the root is the root: {answer}"),
            _ => assert!(["EXDEV", "EPERM", "EACCES", "ENOENT"].contains(&answer), "{what}: {answer}"),
        }
    }
}

/// An archive with a link to a file of the host, one to a folder, one that climbs, and a name that climbs.
const ARCHIVE: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as archive:
    archive.write(sys.argv[2], 'main.py')
    links = [('shadow', '/etc/shadow'), ('outside', '/'), ('up', '../../../../etc')]
    for name, target in links if sys.argv[3] else []:
        link = zipfile.ZipInfo(name)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, target)
    if len(sys.argv) > 4:
        archive.writestr(sys.argv[4], 'climbed')
";

pub(crate) async fn archives_with_links_or_climbing_names_are_refused(ground: &Ground) {
    let python = required("FISSION_TEST_PYTHON", "a Python; `make test` sets it");
    let platform = &ground.platform;
    let source = platform.data().join("src/attack.py");
    let pack = |name: &str, linked: bool, climbing: Option<&str>| {
        let path = platform.data().join("src").join(name);
        let mut command = Command::new(&python);
        command.args(["-c", ARCHIVE]).arg(&path).arg(&source).arg(if linked { "links" } else { "" }).args(climbing);
        printed(command.output().unwrap(), &["making an archive"]);
        path.display().to_string()
    };
    let cases =
        [("linked", true, None), ("climbing", false, Some("../../climbed")), ("rooted", false, Some("/tmp/climbed"))];
    for (name, linked, climbing) in cases {
        let archive = pack(&format!("{name}.zip"), linked, climbing);
        let create = ["function", "create", "--name", name, "--env", "python-env", "--entrypoint", "main.main"];
        platform.ok(&[&create[..], &["--deployarchive", &archive]].concat());
        platform.route(name);
        let all = "/userfunc/deployarchive";
        let asked = format!("read&paths={all}/shadow,{all}/outside,{all}/up,/tmp/climbed");
        let (status, body) = ground.try_it(name, &asked).await;
        assert_eq!(status, 500, "{name}: {body}");
        let why = if linked { "symbolic link" } else { "climbed" };
        assert!(body.contains("is refused because of its entry") && body.contains(why), "{name}: {body}");
    }
    assert!(!std::path::Path::new("/tmp/climbed").exists());
}

pub(crate) async fn a_crash_leaves_no_core_dump(ground: &Ground) {
    let said = ground.outcome("core_dump").await;
    assert_eq!(said["left"], Value::Array(Vec::new()), "{said}");
    assert_eq!(ground.outcome("limits").await["CORE"], 0);
}
