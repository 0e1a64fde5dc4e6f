//! Builds, with real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fission_api::Environment;
use fission_rpc::build::{Artifact, BuildError, BuildJob, BuildLog, Builder};
use fission_sandbox::{BuildOptions, SandboxBuilder};
use serde_json::{Value, json};

use crate::world::{PATIENCE, World, children, until};

#[derive(Default)]
struct Printed(Mutex<Vec<u8>>);

impl BuildLog for Printed {
    fn append(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// A folder of source whose `build` is a shell script.
fn source(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("build"), script).unwrap();
    fs::write(folder.path().join("code.txt"), "the code").unwrap();
    folder
}

fn environment(uid: &str, builder: Value) -> Arc<Environment> {
    let environment = json!({"apiVersion": "fission.io/v1", "kind": "Environment",
        "metadata": {"name": "e", "namespace": "ns", "uid": uid},
        "spec": {"version": 3, "runtime": {"image": "x"}, "builder": builder}});
    Arc::new(serde_json::from_value(environment).unwrap())
}

fn job(source: &Path) -> BuildJob {
    BuildJob {
        package: "ns/p".to_owned(),
        environment: environment("one", json!({})),
        command: vec!["build".to_owned()],
        source: source.to_owned(),
    }
}

struct Workshop {
    world: World,
    builder: SandboxBuilder,
    log: Printed,
}

impl Workshop {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut BuildOptions)) -> Self {
        let world = World::new();
        let mut options = BuildOptions { timeout: PATIENCE, ..BuildOptions::default() };
        change(&mut options);
        Self { builder: world.backend.builder(options), world, log: Printed::default() }
    }

    async fn build(&self, script: &str) -> Result<Artifact, BuildError> {
        self.builder.build(job(source(script).path()), &self.log).await
    }

    /// What a build printed that must end well.
    async fn output(&self, script: &str) -> String {
        self.build(&format!("{script}\ntouch \"$DEPLOY_PKG\""))
            .await
            .unwrap_or_else(|e| panic!("{e}: {}", self.log.text()));
        self.log.text()
    }

    /// Why a build failed that must not be tried again.
    async fn failure(&self, script: &str) -> String {
        match self.build(script).await {
            Err(BuildError::Failed { why }) => why,
            other => panic!("{other:?}: {}", self.log.text()),
        }
    }

    /// The folders of builds and instances.
    fn folders(&self) -> Vec<PathBuf> {
        let run = self.world.data.path().join("data/run/instances");
        fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test]
async fn a_build_is_given_a_copy_of_the_source_and_gives_what_it_made() {
    let workshop = Workshop::new();
    let folder =
        source("cp -r \"$SRC_PKG\" \"$DEPLOY_PKG\"; echo more >>code.txt; echo made >\"$DEPLOY_PKG/made\"; pwd");
    fs::set_permissions(folder.path().join("code.txt"), fs::Permissions::from_mode(0o444)).unwrap();
    let artifact = workshop.builder.build(job(folder.path()), &workshop.log).await.unwrap();
    assert_eq!(fs::read_to_string(artifact.path.join("code.txt")).unwrap(), "the code");
    assert_eq!(fs::read_to_string(artifact.path.join("made")).unwrap(), "made\n");
    assert_eq!(
        fs::read_to_string(folder.path().join("code.txt")).unwrap(),
        "the code",
        "the source itself is left alone"
    );
    assert_eq!(workshop.log.text(), "/packages/source\n");
    drop(artifact);
    until(|| workshop.folders().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_source_of_one_file_is_built_from_the_folder_it_is_in() {
    let workshop = Workshop::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "print()").unwrap();
    let command = ["sh", "-c", "cp source \"$DEPLOY_PKG\""].map(str::to_owned).to_vec();
    let artifact = workshop.builder.build(BuildJob { command, ..job(file.path()) }, &workshop.log).await.unwrap();
    assert_eq!(fs::read_to_string(&artifact.path).unwrap(), "print()");
}

#[tokio::test]
async fn a_build_can_write_its_own_files_and_nothing_else() {
    let script = "for place in /usr/x /x /etc/x /userfunc/x; do touch $place 2>/dev/null && echo wrote $place; done
        touch /tmp/x $TMPDIR/x $HOME/x $SRC_PKG/x && echo own; ls /root /home; id -u";
    let text = Workshop::new().output(script).await;
    assert_eq!(
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('/')).collect::<Vec<_>>(),
        ["own", "1000"],
        "{text}"
    );
}

#[tokio::test]
async fn variables_come_from_the_language_and_from_the_environment_object() {
    let workshop = Workshop::new();
    let script =
        "echo $FROM_TOOLS $FROM_OBJECT $LANG; case :$PATH: in *:/usr/bin:*) echo path;; esac; touch $DEPLOY_PKG";
    let builder = json!({"image": "x", "container": {"env": [
        {"name": "FROM_OBJECT", "value": "object"}, {"name": "FROM_TOOLS", "value": "changed"}]}});
    let folder = source(script);
    let job = BuildJob { environment: environment("one", builder), ..job(folder.path()) };
    workshop.builder.build(job, &workshop.log).await.unwrap();
    assert_eq!(workshop.log.text(), "changed object C.UTF-8\npath\n");
    let text = Workshop::new().output("env | grep -c SECRET_OF_THE_PLATFORM").await;
    assert_eq!(text, "0\n", "the platform's own variables stay its own");
}

#[tokio::test]
async fn the_cache_stays_between_builds_of_one_environment_and_is_not_seen_by_another() {
    let workshop = Workshop::new();
    workshop.output("echo kept >$HOME/file; mkdir $HOME/locked; touch $HOME/locked/x; chmod 555 $HOME/locked").await;
    assert!(workshop.output("cat $HOME/file").await.ends_with("kept\n"));
    let folder = source("ls $HOME | wc -l; touch $DEPLOY_PKG");
    let other = BuildJob { environment: environment("other", json!({})), ..job(folder.path()) };
    workshop.builder.build(other, &workshop.log).await.unwrap();
    assert!(workshop.log.text().ends_with("\n0\n"), "{}", workshop.log.text());
}

#[tokio::test]
async fn a_cache_that_grew_too_large_is_emptied() {
    let workshop = Workshop::with(|options| options.cache_bytes = 1 << 20);
    workshop.output("head -c 2000000 /dev/zero >$HOME/large").await;
    let cache = workshop.world.data.path().join("data/cache/builds/one");
    until(|| (!cache.exists()).then_some(())).await;
    workshop.output("touch $HOME/small").await;
}

#[tokio::test]
async fn any_amount_of_output_on_both_pipes_stops_no_build() {
    let workshop = Workshop::new();
    let script = "head -c 3000000 /dev/zero | tr '\\0' o & head -c 3000000 /dev/zero | tr '\\0' e >&2; wait";
    let text = workshop.output(script).await;
    assert_eq!((text.matches('o').count(), text.matches('e').count()), (3_000_000, 3_000_000));
}

#[tokio::test]
async fn a_build_that_fails_says_how() {
    let workshop = Workshop::new();
    assert!(workshop.failure("exit 3").await.contains("exited with code 3"));
    assert!(workshop.failure("no-such-program").await.contains("a program it needs is not there"));
    assert!(workshop.failure("echo nothing made").await.contains("DEPLOY_PKG"));
    let folder = source("");
    let missing = BuildJob { command: vec!["./missing.sh".to_owned()], ..job(folder.path()) };
    let error = workshop.builder.build(missing, &workshop.log).await.unwrap_err().to_string();
    assert!(error.contains("`./missing.sh`") && error.contains("No such file"), "{error}");
    until(|| workshop.folders().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_limit_that_is_reached_ends_the_build_and_is_named() {
    let workshop = Workshop::with(|options| options.timeout = Duration::from_secs(1));
    assert!(workshop.failure("sleep 100").await.contains("longer than 1 s"));
    let workshop = Workshop::with(|options| {
        options.disk_bytes = 4 << 20;
        options.limits.file_bytes = Some(4 << 20);
    });
    let many = "for i in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/zero >$TMPDIR/$i; done; sleep 100";
    let why = workshop.failure(many).await;
    assert!(why.contains("over its limit of 4 MiB (fission up --build-disk)"), "{why}");
    let why = workshop.failure("exec head -c 8000000 /dev/zero >one").await;
    assert!(why.contains("larger than its disk limit"), "{why}");
    until(|| workshop.folders().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_build_over_its_memory_is_ended_where_memory_is_limited() {
    let workshop = Workshop::with(|options| options.limits.memory = 64 << 20);
    let limited = workshop.world.backend.isolation().await.unwrap();
    if !limited.has(fission_sandbox::Feature::MemoryLimit) {
        return;
    }
    let why = workshop.failure("exec head -c 200000000 /dev/zero >/tmp/x").await;
    assert!(why.contains("over its memory limit of 64 MiB (fission up --build-memory"), "{why}");
}

#[tokio::test]
async fn a_build_that_was_killed_is_worth_another_try() {
    let workshop = Workshop::new();
    match workshop.build("kill -9 $$").await {
        Err(BuildError::Interrupted { why }) => assert!(why.contains("signal 9"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_build_nobody_wants_any_more_leaves_nothing() {
    let workshop = Workshop::new();
    let folder = source("touch $HOME/started; sleep 1000 & sleep 1000");
    let started = workshop.world.data.path().join("data/cache/builds/one/started");
    let waiting = until(|| started.exists().then_some(()));
    tokio::select! {
        built = workshop.builder.build(job(folder.path()), &workshop.log) => panic!("{built:?}"),
        () = waiting => {}
    }
    until(|| workshop.folders().is_empty().then_some(())).await;
    // What waits to be the next instance has started nothing.
    let waiting = |process: &u32| children(*process).is_empty();
    until(|| children(workshop.world.launcher).iter().all(waiting).then_some(())).await;
}
