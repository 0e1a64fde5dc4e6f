//! Durability: an acknowledged write survives `kill -9` at any moment, and one folder has one owner.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use fission_api::Function;
use fission_apiserver::{ApiServer, OpenError, Options, Storage};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::world::{function, functions};

/// Names the folder the child process writes to.
const FOLDER: &str = "FISSION_TEST_CRASH_FOLDER";
/// Kills in one run of the test.
const ROUNDS: usize = 20;
/// Writers at once in the child.
const WRITERS: usize = 16;
/// Objects alive per writer, so that the test does not grow without end.
const ALIVE: usize = 20;

fn open(folder: &Path) -> ApiServer {
    ApiServer::open(Options::new(Storage::Disk(folder.to_owned()), "test")).expect("the folder opens")
}

/// Not a test of its own: the process that is killed. It writes until then and tells what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let server = open(Path::new(&folder));
    let api = functions(&server.client("default"));
    let round = std::process::id();
    let (told, tell) = mpsc::channel::<String>();
    let teller = std::thread::spawn(move || {
        let mut out = std::io::stdout().lock();
        while let Ok(line) = tell.recv() {
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(api.clone(), format!("{round}-{writer}"), told.clone())))
        .collect();
    for writer in writers {
        let _ = writer.await;
    }
    drop(told);
    let _ = teller.join();
}

async fn write(api: Api<Function>, writer: String, told: mpsc::Sender<String>) {
    for at in 0.. {
        let name = format!("f-{writer}-{at}");
        api.create(&PostParams::default(), &function(&name)).await.expect("a create is acknowledged");
        let _ = told.send(format!("created {name}"));
        let patch = Patch::Merge(json!({ "spec": { "functionTimeout": at + 1 } }));
        api.patch(&name, &PatchParams::default(), &patch).await.expect("a patch is acknowledged");
        let _ = told.send(format!("patched {name} {}", at + 1));
        if at >= ALIVE {
            let old = format!("f-{writer}-{}", at - ALIVE);
            let _ = told.send(format!("deleting {old}"));
            api.delete(&old, &DeleteParams::default()).await.expect("a delete is acknowledged");
            let _ = told.send(format!("deleted {old}"));
        }
    }
}

#[derive(Default)]
struct Told {
    /// Timeout last acknowledged, by name; 0 after the create.
    alive: std::collections::BTreeMap<String, i64>,
    maybe: std::collections::BTreeSet<String>,
    gone: std::collections::BTreeSet<String>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["created", name] => {
                self.alive.insert((*name).to_owned(), 0);
            }
            ["patched", name, value] => {
                self.alive.insert((*name).to_owned(), value.parse().unwrap_or(0));
            }
            ["deleting", name] => {
                self.alive.remove(*name);
                self.maybe.insert((*name).to_owned());
            }
            ["deleted", name] => {
                self.maybe.remove(*name);
                self.gone.insert((*name).to_owned());
            }
            _ => {}
        }
    }
}

/// Runs the child for a while, kills it, and gives back what it had acknowledged.
fn killed_after(folder: &Path, lines: usize, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["crash::the_process_that_is_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts");
    let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        if out.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        if line.ends_with('\n') {
            told.hear(line.trim());
        }
    }
    child.kill().expect("the child is ours to kill");
    let _ = child.wait();
    // What it had said before it was killed counts too; a line cut short does not.
    line.clear();
    while out.read_line(&mut line).unwrap_or(0) > 0 {
        if line.ends_with('\n') {
            told.hear(line.trim());
        }
        line.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id());
    for round in 0..ROUNDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lines = 3 + usize::try_from(random >> 33).unwrap_or(0) % 400;
        killed_after(folder.path(), lines, &mut told);
        let server = open(folder.path());
        assert!(server.damaged().is_empty(), "round {round}: {:?}", server.damaged());
        let api = functions(&server.client("default"));
        let stored: std::collections::BTreeMap<String, i64> = api
            .list(&ListParams::default())
            .await
            .unwrap()
            .into_iter()
            .map(|function| (function.name_any(), function.spec.function_timeout))
            .collect();
        for (name, value) in &told.alive {
            let found = stored.get(name);
            assert!(found.is_some_and(|found| found >= value), "round {round}: {name} was {value} and is {found:?}");
        }
        for name in &told.gone {
            assert!(!stored.contains_key(name), "round {round}: {name} was deleted and is back");
        }
        for name in told.maybe.iter().filter(|name| !stored.contains_key(*name)) {
            told.gone.insert(name.clone());
        }
        let gone = told.gone.clone();
        told.maybe.retain(|name| !gone.contains(name));
        server.shutdown().await;
    }
    assert!(told.alive.len() + told.gone.len() > ROUNDS, "the child hardly wrote");
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let refused = ApiServer::open(Options::new(Storage::Disk(folder.path().to_owned()), "test"));
    let Err(OpenError::InUse { pid, .. }) = refused.map(|_| ()) else { panic!("two servers share a folder") };
    assert_eq!(pid, std::process::id().to_string());
    first.shutdown().await;
    open(folder.path()).shutdown().await;
}

#[tokio::test]
async fn a_restart_keeps_objects_and_collects_what_lost_its_owner_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path());
    let api = functions(&server.client("default"));
    api.create(&PostParams::default(), &function("kept")).await.unwrap();
    let lost = json!([{ "apiVersion": "fission.io/v1", "kind": "Function", "name": "kept", "uid": "another" }]);
    let mut dependent = function("lost");
    dependent.metadata.owner_references = serde_json::from_value(lost).unwrap();
    api.create(&PostParams::default(), &dependent).await.unwrap();
    server.shutdown().await;
    let server = open(folder.path());
    let api = functions(&server.client("default"));
    crate::world::until("the lost one goes", || async { api.get_opt("lost").await.unwrap().is_none() }).await;
    assert!(api.get_opt("kept").await.unwrap().is_some());
    tokio::time::timeout(Duration::from_secs(10), server.shutdown()).await.unwrap();
}
