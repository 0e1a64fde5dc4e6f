//! Packages get their status, and functions follow.

use fission_api::{Archive, BuildStatus, Environment, FunctionSpec, PackageSpec, PackageStatus, labels};
use fission_rpc::code::CodeSource;
use http::StatusCode;
use k8s_openapi::ByteString;
use tokio::task::JoinHandle;

use super::*;
use crate::build::{Here, Place};
use crate::fake_api::FakeApi;
use crate::fake_builder::{FakeBuilder, Script};
use crate::source::{Options, PackageStore};
use crate::storage::Storage;

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "default".into(), name: name.into() }
}

fn literal(text: &str) -> Archive {
    Archive { literal: Some(ByteString(text.into())), ..Default::default() }
}

fn package(source: &str, deployment: &str) -> Package {
    let mut package = Package::new(
        "code",
        PackageSpec {
            source: if source.is_empty() { Archive::default() } else { literal(source) },
            deployment: if deployment.is_empty() { Archive::default() } else { literal(deployment) },
            ..Default::default()
        },
    );
    package.metadata.namespace = Some("default".into());
    package.metadata.generation = Some(1);
    package
}

fn function(name: &str, package: &str) -> Function {
    let mut spec = FunctionSpec::default();
    spec.package.package_ref.name = package.into();
    spec.package.package_ref.resourceversion = "at-first".into();
    let mut function = Function::new(name, spec);
    function.metadata.namespace = Some("default".into());
    function
}

struct Running {
    api: FakeApi,
    task: JoinHandle<()>,
    builder: Arc<FakeBuilder>,
    code: PackageStore,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(api: FakeApi) -> Self {
        Self::with(api, FakeBuilder::default())
    }

    fn with(api: FakeApi, builder: FakeBuilder) -> Self {
        let packages = api.packages.clone();
        Self::watching(packages, api, builder)
    }

    /// One whose copy of the packages is not that of the API server.
    fn watching(packages: Cache<Package>, api: FakeApi, builder: FakeBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().join("archives"), Default::default()).unwrap();
        let code = PackageStore::new(Options::new(folder.path().join("code")), storage.clone()).unwrap();
        let environments = Cache::default();
        environments.replace_all(Default::default());
        let mut environment = Environment::new("nodejs", Default::default());
        environment.metadata.namespace = Some("default".into());
        environments.apply(environment);
        let builder = Arc::new(builder);
        let here = Here { builder: builder.clone(), code: code.clone(), storage: storage.into() };
        let builds = Builds { place: Place::Here(here), environments, at_once: 2 };
        let task = tokio::spawn(run(api.client(), packages, api.functions.clone(), builds));
        Self { api, task, builder, code, _folder: folder }
    }

    /// The status of the package once it satisfies a condition.
    async fn status(&self, wanted: impl Fn(&PackageStatus) -> bool) -> PackageStatus {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let status = self.api.packages.get(&key("code")).and_then(|package| package.status.clone());
            if let Some(status) = status.filter(|status| wanted(status)) {
                return status;
            }
            assert!(Instant::now() < deadline, "status did not come: {:?}", self.api.writes());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn stamp(&self, function: &str) -> String {
        self.api.functions.get(&key(function)).unwrap().spec.package.package_ref.resourceversion.clone()
    }

    /// Lets everything that is due happen; time is paused, so this waits for work and not for the clock.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(120)).await;
    }

    fn change(&self, deployment: &str) {
        let mut package = (*self.api.packages.get(&key("code")).unwrap()).clone();
        package.spec.deployment = literal(deployment);
        package.metadata.generation = package.metadata.generation.map(|generation| generation + 1);
        self.api.put_package(package);
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_says_whether_it_can_be_deployed() {
    for (source, deployment, build, ready, reason, log) in [
        ("", "code", BuildStatus::None, "True", "NoBuildRequired", ""),
        ("src", "code", BuildStatus::None, "True", "NoBuildRequired", ""),
        ("", "", BuildStatus::Failed, "False", "BuildFailed", "neither source nor deployment"),
    ] {
        let api = FakeApi::synced();
        api.put_package(package(source, deployment));
        let running = Running::start(api);
        let status = running.status(|status| status.build_status != BuildStatus::Unset).await;
        assert_eq!(status.build_status, build);
        assert!(status.build_log.contains(log) && status.build_log.is_empty() == log.is_empty());
        assert!(status.last_update_timestamp.is_some());
        for kind in ["BuildSucceeded", "Ready"] {
            let condition = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            assert_eq!((condition.status.as_str(), condition.reason.as_str()), (ready, reason));
            assert_eq!(condition.observed_generation, Some(1));
        }
        running.settle().await;
        assert_eq!(running.api.writes(), ["packages/code/status"]);
        running.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn functions_follow_a_package_whose_content_changes() {
    let api = FakeApi::synced();
    api.put_package(package("", "one"));
    for name in ["follower", "stubborn", "other"] {
        let mut function = function(name, if name == "other" { "other-code" } else { "code" });
        if name == "stubborn" {
            let annotations = [(labels::DISABLE_PACKAGE_AUTO_FOLLOW.to_owned(), "true".to_owned())];
            function.metadata.annotations = Some(annotations.into());
        }
        api.put_function(function);
    }
    let running = Running::start(api);
    let before = running.status(|status| !status.content_hash.is_empty()).await;
    running.settle().await;
    assert_eq!(running.stamp("follower"), "at-first", "the first look at a package changes no function");

    running.change("two");
    let version = running.api.packages.get(&key("code")).unwrap().metadata.resource_version.clone().unwrap();
    let after = running.status(|status| status.content_hash != before.content_hash).await;
    assert_eq!(after.conditions[0].observed_generation, Some(2));
    running.settle().await;
    assert_eq!(running.stamp("follower"), version);
    assert_eq!((running.stamp("stubborn"), running.stamp("other")), ("at-first".into(), "at-first".into()));
    assert_eq!(running.api.writes(), ["packages/code/status", "functions/follower", "packages/code/status"]);
    running.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_status_alone_redeploys_nothing() {
    let api = FakeApi::synced();
    api.put_package(package("", "one"));
    api.put_function(function("follower", "code"));
    let running = Running::start(api);
    running.status(|status| !status.content_hash.is_empty()).await;
    let mut package = (*running.api.packages.get(&key("code")).unwrap()).clone();
    package.status.as_mut().unwrap().build_log = "somebody wrote this".into();
    running.api.put_package(package);
    running.settle().await;
    assert_eq!(running.stamp("follower"), "at-first");
    running.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_of_a_change_finishes_it_once() {
    let api = FakeApi::synced();
    api.put_package(package("", "one"));
    api.put_function(function("follower", "code"));
    let running = Running::start(api);
    running.status(|status| !status.content_hash.is_empty()).await;
    running.settle().await;
    running.task.abort();

    running.change("two");
    let version = running.api.packages.get(&key("code")).unwrap().metadata.resource_version.clone().unwrap();
    let again = Running::start(running.api.clone());
    again.settle().await;
    assert_eq!(again.stamp("follower"), version);
    again.task.abort();
    let writes = again.api.writes().len();
    let third = Running::start(again.api.clone());
    third.settle().await;
    assert_eq!(third.api.writes().len(), writes, "nothing was left to do");
    third.task.abort();
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_asked_again() {
    let api = FakeApi::synced();
    api.put_package(package("", "one"));
    api.fail_next(&[StatusCode::INTERNAL_SERVER_ERROR, StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR]);
    let running = Running::start(api);
    assert_eq!(running.status(|status| !status.content_hash.is_empty()).await.build_status, BuildStatus::None);
    running.task.abort();
}

#[tokio::test(start_paused = true)]
async fn what_a_builder_elsewhere_found_out_is_kept() {
    let api = FakeApi::synced();
    let mut built = source("src", "result");
    built.status =
        Some(PackageStatus { build_status: BuildStatus::Succeeded, build_log: "ok".into(), ..Default::default() });
    api.put_package(built);
    let running = Running::start(api);
    let status = running.status(|status| !status.content_hash.is_empty()).await;
    assert_eq!((status.build_status, status.build_log.as_str()), (BuildStatus::Succeeded, "ok"));
    assert_eq!(status.conditions[0].reason, "BuildSucceeded");
    running.settle().await;
    assert_eq!(running.builder.builds(), 0);
}

/// A package of an environment there is.
fn source(text: &str, deployment: &str) -> Package {
    let mut package = package(text, deployment);
    package.spec.environment.name = "nodejs".into();
    package.metadata.uid = Some("uid-of-code".into());
    package
}

impl Running {
    async fn decided(&self) -> PackageStatus {
        self.status(|status| matches!(status.build_status, BuildStatus::Succeeded | BuildStatus::Failed)).await
    }

    async fn deployed(&self) -> String {
        let package = self.api.packages.get(&key("code")).unwrap();
        let code = self.code.code(&package, false).await.unwrap();
        std::fs::read_to_string(code.path.join("made")).unwrap()
    }

    fn change_source(&self, text: &str) {
        let mut package = (*self.api.packages.get(&key("code")).unwrap()).clone();
        package.spec.source = literal(text);
        self.api.put_package(package);
    }

    fn condition(&self, function: &str, kind: &str) -> Option<(String, String)> {
        let function = self.api.functions.get(&key(function)).unwrap();
        let conditions = function.status.clone().unwrap_or_default().conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == kind)?;
        Some((found.status, found.reason))
    }
}

#[tokio::test(start_paused = true)]
async fn source_is_built_and_its_functions_follow_the_result() {
    let api = FakeApi::synced();
    api.put_package(source("one", ""));
    api.put_function(function("follower", "code"));
    let running = Running::start(api);
    let status = running.decided().await;
    assert_eq!(status.build_status, BuildStatus::Succeeded, "{}", status.build_log);
    assert!(status.build_log.contains("building with nodejs: build"), "{}", status.build_log);
    assert!(status.build_log.contains("compiling one"), "what the command printed: {}", status.build_log);
    assert_eq!(running.deployed().await, "made of one");
    assert_ne!(running.stamp("follower"), "at-first");
    running.settle().await;
    let ready = Some(("True".to_owned(), "PackageReady".to_owned()));
    assert_eq!(
        (running.condition("follower", "PackageReady"), running.condition("follower", "Ready")),
        (ready.clone(), ready)
    );
    assert_eq!(running.builder.builds(), 1, "one content is built once");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_says_why_and_leaves_what_was_built_before_in_use() {
    let api = FakeApi::synced();
    api.put_package(source("one", ""));
    api.put_function(function("follower", "code"));
    let running = Running::start(api);
    running.decided().await;
    let (before, stamp) = (running.deployed().await, running.stamp("follower"));
    running.builder.script(&[Script::Fail("index.js:3: SyntaxError")]);
    running.change_source("two");
    let status = running.status(|status| status.build_status == BuildStatus::Failed).await;
    assert!(status.build_log.contains("index.js:3: SyntaxError"), "{}", status.build_log);
    assert!(status.conditions[0].message.contains("index.js:3"), "{:?}", status.conditions[0]);
    running.settle().await;
    assert_eq!((running.deployed().await, running.stamp("follower")), (before, stamp));
    assert_eq!(running.condition("follower", "PackageReady").unwrap().1, "PackageBuildFailed");
    assert_eq!(running.condition("follower", "Ready").unwrap().0, "True", "it still serves");
    assert_eq!(running.builder.builds(), 2, "a mistake in the source is not tried twice");
}

#[tokio::test(start_paused = true)]
async fn a_failed_build_is_built_again_when_asked_for() {
    let api = FakeApi::synced();
    api.put_package(source("one", ""));
    let builder = FakeBuilder::default();
    builder.script(&[Script::Fail("no network")]);
    let running = Running::with(api, builder);
    assert_eq!(running.decided().await.build_status, BuildStatus::Failed);
    running.settle().await;
    let mut asked = (*running.api.packages.get(&key("code")).unwrap()).clone();
    asked.status.as_mut().unwrap().build_status = BuildStatus::Pending;
    running.api.put_package(asked);
    let status = running.status(|status| status.build_status == BuildStatus::Succeeded).await;
    assert!(!status.build_log.contains("no network"), "the log is that of the last build: {}", status.build_log);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_was_broken_off_is_tried_once_more_and_no_oftener() {
    for (script, expected) in [
        (&[Script::Interrupt][..], BuildStatus::Succeeded),
        (&[Script::Interrupt, Script::Interrupt], BuildStatus::Failed),
    ] {
        let api = FakeApi::synced();
        api.put_package(source("one", ""));
        let builder = FakeBuilder::default();
        builder.script(script);
        let running = Running::with(api, builder);
        let status = running.decided().await;
        assert_eq!(status.build_status, expected, "{}", status.build_log);
        assert!(status.build_log.contains("trying once more"), "{}", status.build_log);
        running.settle().await;
        assert_eq!(running.builder.builds(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_ended_while_it_built_builds_again_once() {
    let api = FakeApi::synced();
    api.put_package(source("one", ""));
    for which in ["first try", "second try"] {
        let builder = FakeBuilder::default();
        builder.script(&[Script::Hang]);
        let running = Running::with(api.clone(), builder);
        running.status(|status| status.conditions.iter().any(|condition| condition.message.contains(which))).await;
        running.settle().await;
        assert_eq!(running.builder.builds(), 1, "{which}");
        running.task.abort();
        assert!(running.task.await.unwrap_err().is_cancelled());
    }
    let third = Running::start(api);
    assert_eq!(third.decided().await.build_status, BuildStatus::Failed);
    third.settle().await;
    assert_eq!(third.builder.builds(), 0, "what ended the platform twice is not tried a third time");
}

/// A package whose build runs and does not end.
async fn hanging() -> Running {
    let api = FakeApi::synced();
    api.put_package(source("one", ""));
    let builder = FakeBuilder::default();
    builder.script(&[Script::Hang]);
    let running = Running::with(api, builder);
    running.status(|status| status.build_status == BuildStatus::Running).await;
    running.settle().await;
    running
}

#[tokio::test(start_paused = true)]
async fn newer_source_ends_the_build_of_older_source() {
    let running = hanging().await;
    running.change_source("two");
    assert_eq!(running.decided().await.build_status, BuildStatus::Succeeded);
    assert_eq!(running.deployed().await, "made of two");
    assert_eq!(running.builder.dropped(), 1, "the older build was ended");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_package_ends_its_build() {
    let running = hanging().await;
    running.api.packages.delete(&key("code"));
    running.settle().await;
    assert_eq!((running.builder.builds(), running.builder.dropped()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_running_build_can_be_read() {
    let api = FakeApi::synced();
    api.put_package(source("one", ""));
    let builder = FakeBuilder::default();
    builder.script(&[Script::Hang]);
    let running = Running::with(api, builder);
    running.status(|status| status.build_log.contains("compiling one")).await;
    running.builder.say("half way");
    let status = running.status(|status| status.build_log.contains("half way")).await;
    assert_eq!(status.build_status, BuildStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_built_says_what_to_do() {
    let build = |change: fn(&mut Package)| async move {
        let api = FakeApi::synced();
        let mut package = source("one", "");
        change(&mut package);
        api.put_package(package);
        let running = Running::start(api);
        let status = running.decided().await;
        assert_eq!((status.build_status, running.builder.builds()), (BuildStatus::Failed, 0));
        status.build_log
    };
    let log = build(|package| package.spec.environment.name = "ruby".into()).await;
    assert!(log.contains("no environment default/ruby") && log.contains("package rebuild"), "{log}");
    let log = build(|package| package.spec.environment.namespace = "other".into()).await;
    assert!(log.contains("in its own namespace, default"), "{log}");
    let log = build(|package| package.spec.buildcmd = "make && make install".into()).await;
    assert!(log.contains("'&'") && log.contains("--buildcmd ./build.sh"), "{log}");
    let log = build(|package| package.spec.source.literal = Some(ByteString(b"PK\x03\x04damaged".to_vec()))).await;
    assert!(log.contains("zip archive cannot be read"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_build_does_not_run_again_because_its_end_has_not_been_heard_of() {
    let api = FakeApi::synced();
    let mut package = source("one", "");
    let hash = status::content_hash(&package.spec);
    package.status = Some(status::with_build(&package, &hash, BuildStatus::Running, status::FIRST_TRY, ""));
    api.put_package(package);
    let behind = Cache::default();
    behind.replace_all(api.packages.list().into_iter().map(|package| (key("code"), package)).collect());
    let running = Running::watching(behind.clone(), api, FakeBuilder::default());
    running.settle().await;
    assert_eq!(running.decided().await.build_status, BuildStatus::Succeeded);
    assert_eq!(running.builder.builds(), 1);
}
