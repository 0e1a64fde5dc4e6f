//! What the status of a package should say. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use fission_api::{BuildStatus, Package, PackageSpec, PackageStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::build::last_lines;
use crate::source::hex;

const EMPTY_LOG: &str = "The package has neither source nor deployment archive, so there is nothing to build or deploy. \
Give it code with --code or --deployarchive.";
const TWICE_LOG: &str = "The platform ended twice while it built this package. If the build is what ends it, mend the \
source; then: fission package rebuild.";
/// Message of the conditions while a build waits for its turn.
const WAITING: &str = "waiting for a builder";
/// Message of the conditions of a first try.
pub(crate) const FIRST_TRY: &str = "being built, first try of two";
/// Message of the conditions of a second try, by which a later process knows that there was a first one.
pub(crate) const SECOND_TRY: &str = "being built, second try of two: the first was broken off";

/// Digest of what decides which code a package holds. Stable over restarts and releases: it is stored. Of a package with
/// source the deployment archive does not count: it is what is made from the rest.
pub(crate) fn content_hash(spec: &PackageSpec) -> String {
    // An object of one level whose values are strings or API types; it always serializes.
    let mut content = serde_json::json!({
        "environment": spec.environment.name,
        "source": spec.source,
        "deployment": spec.deployment,
        "buildcmd": spec.buildcmd,
    });
    if !spec.source.is_empty() {
        content["deployment"] = serde_json::Value::Null;
    }
    hex(digest(&SHA256, content.to_string().as_bytes()).as_ref())
}

/// What is to be done about a package.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// It is as it should be.
    Nothing,
    /// Its status should be this one.
    Write(Box<PackageStatus>),
    /// It is to be built.
    Build {
        /// The status to write first, if it is not there yet.
        pending: Option<Box<PackageStatus>>,
        /// Whether an earlier try was broken off by the end of a process.
        again: bool,
    },
}

/// What is to be done about a package whose content has this hash and which nobody builds at this moment.
pub(crate) fn next(package: &Package, hash: &str) -> Next {
    let current = package.status.clone().unwrap_or_default();
    let known = !current.content_hash.is_empty();
    let same = !known || current.content_hash == hash;
    let (source, deployment) = (!package.spec.source.is_empty(), !package.spec.deployment.is_empty());
    let status = |build, log: &str| with_build(package, hash, build, &last_lines(log), log);
    let wanted = match (source, deployment) {
        (false, true) => status(BuildStatus::None, ""),
        (false, false) => status(BuildStatus::Failed, EMPTY_LOG),
        (true, _) => match current.build_status {
            BuildStatus::Succeeded | BuildStatus::Failed | BuildStatus::None if same => {
                status(current.build_status, &current.build_log)
            }
            // Given together, what is to be deployed is there already.
            _ if !known && deployment => status(BuildStatus::None, ""),
            BuildStatus::Running if same && was_second_try(&current) => status(BuildStatus::Failed, TWICE_LOG),
            build => {
                let again = same && build == BuildStatus::Running;
                let pending = with_build(package, hash, BuildStatus::Pending, WAITING, "");
                return Next::Build { pending: (pending != current).then(|| Box::new(pending)), again };
            }
        },
    };
    if wanted == current { Next::Nothing } else { Next::Write(Box::new(wanted)) }
}

/// Whether this very content was built, or could not be.
pub(crate) fn is_decided(package: &Package, hash: &str) -> bool {
    let decided = |build| matches!(build, BuildStatus::Succeeded | BuildStatus::Failed);
    package.status.as_ref().is_some_and(|status| status.content_hash == hash && decided(status.build_status))
}

fn was_second_try(status: &PackageStatus) -> bool {
    status.conditions.iter().any(|condition| condition.reason == "BuildRunning" && condition.message == SECOND_TRY)
}

/// The status of a package with another state of its build. `message` is that of the conditions, where they are not good.
pub(crate) fn with_build(package: &Package, hash: &str, build: BuildStatus, message: &str, log: &str) -> PackageStatus {
    let current = package.status.clone().unwrap_or_default();
    let moved = build != current.build_status || current.content_hash != hash;
    let now = Time(Timestamp::now());
    let last = current.last_update_timestamp.filter(|_| !moved).unwrap_or_else(|| now.clone());
    let mut status = PackageStatus {
        build_status: build,
        build_log: log.to_owned(),
        content_hash: hash.to_owned(),
        last_update_timestamp: Some(last),
        conditions: current.conditions,
    };
    for condition in conditions(build, message, package.metadata.generation, &now) {
        set(&mut status.conditions, condition);
    }
    status
}

fn conditions(status: BuildStatus, message: &str, generation: Option<i64>, now: &Time) -> Vec<Condition> {
    let (value, reason) = match status {
        BuildStatus::Succeeded => ("True", "BuildSucceeded"),
        BuildStatus::None => ("True", "NoBuildRequired"),
        BuildStatus::Failed => ("False", "BuildFailed"),
        BuildStatus::Pending => ("False", "BuildPending"),
        BuildStatus::Running => ("False", "BuildRunning"),
        BuildStatus::Unset => ("Unknown", "Unknown"),
    };
    ["BuildSucceeded", "Ready"]
        .map(|kind| Condition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason: reason.to_owned(),
            message: if value == "True" { String::new() } else { message.to_owned() },
            observed_generation: generation,
            last_transition_time: now.clone(),
        })
        .into()
}

/// Replaces the condition of the same type; its transition time moves only when its value does.
pub(crate) fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
    match conditions.iter_mut().find(|current| current.type_ == condition.type_) {
        Some(current) => {
            if current.status == condition.status {
                condition.last_transition_time = current.last_transition_time.clone();
            }
            *current = condition;
        }
        None => conditions.push(condition),
    }
}
