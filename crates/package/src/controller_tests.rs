//! Packages get their status, and functions follow.

use fission_api::{Archive, BuildStatus, FunctionSpec, PackageSpec, PackageStatus};
use http::StatusCode;
use k8s_openapi::ByteString;
use tokio::task::JoinHandle;

use super::*;
use crate::fake_api::FakeApi;

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
}

impl Running {
    fn start(api: FakeApi) -> Self {
        let task = tokio::spawn(run(api.client(), api.packages.clone(), api.functions.clone()));
        Self { api, task }
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
        ("src", "", BuildStatus::Failed, "False", "BuildFailed", "--deployarchive"),
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
async fn what_a_builder_found_out_is_kept_and_a_rebuild_is_answered() {
    let api = FakeApi::synced();
    let mut built = package("src", "result");
    built.status =
        Some(PackageStatus { build_status: BuildStatus::Succeeded, build_log: "ok".into(), ..Default::default() });
    api.put_package(built);
    let running = Running::start(api);
    let status = running.status(|status| !status.content_hash.is_empty()).await;
    assert_eq!((status.build_status, status.build_log.as_str()), (BuildStatus::Succeeded, "ok"));
    assert_eq!(status.conditions[0].reason, "BuildSucceeded");

    let mut asked = (*running.api.packages.get(&key("code")).unwrap()).clone();
    asked.status.as_mut().unwrap().build_status = BuildStatus::Pending;
    running.api.put_package(asked);
    let status = running.status(|status| status.build_status == BuildStatus::None).await;
    assert!(status.build_log.contains("stays in use"));
    running.settle().await;
    running.task.abort();
}
