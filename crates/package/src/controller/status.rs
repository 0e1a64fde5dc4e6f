//! What the status of a package should say. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use fission_api::{BuildStatus, Package, PackageSpec, PackageStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::source::hex;

const EMPTY_LOG: &str = "The package has neither source nor deployment archive, so there is nothing to build or deploy. \
Give it code with --code or --deployarchive.";
const NO_BUILDER_LOG: &str = "The package has a source archive only, and this server has no builder to build it with. \
Build it yourself and give the result with --deployarchive, or with --code if it is one file.";
const KEPT_LOG: &str = "A build was asked for, but this server has no builder. \
The deployment archive the package has stays in use.";

/// Digest of what decides which code a package holds. Stable over restarts and releases: it is stored.
pub(super) fn content_hash(spec: &PackageSpec) -> String {
    // An object of one level whose values are strings or API types; it always serializes.
    let content = serde_json::json!({
        "environment": spec.environment.name,
        "source": spec.source,
        "deployment": spec.deployment,
        "buildcmd": spec.buildcmd,
    });
    hex(digest(&SHA256, content.to_string().as_bytes()).as_ref())
}

/// The status a package should have, or nothing if it has it.
pub(super) fn wanted(package: &Package, hash: &str) -> Option<PackageStatus> {
    let current = package.status.clone().unwrap_or_default();
    let same_content = current.content_hash.is_empty() || current.content_hash == hash;
    let (build_status, build_log) = build(package, &current, same_content);
    let mut wanted = PackageStatus {
        build_status,
        build_log,
        content_hash: hash.to_owned(),
        last_update_timestamp: current.last_update_timestamp.clone(),
        conditions: current.conditions.clone(),
    };
    let now = Time(Timestamp::now());
    for condition in conditions(build_status, &wanted.build_log, package.metadata.generation, &now) {
        set(&mut wanted.conditions, condition);
    }
    if wanted == current {
        return None;
    }
    let moved = build_status != current.build_status || current.content_hash != hash;
    if moved || wanted.last_update_timestamp.is_none() {
        wanted.last_update_timestamp = Some(now);
    }
    Some(wanted)
}

fn build(package: &Package, current: &PackageStatus, same_content: bool) -> (BuildStatus, String) {
    let (source, deployment) = (!package.spec.source.is_empty(), !package.spec.deployment.is_empty());
    let finished = matches!(current.build_status, BuildStatus::Succeeded | BuildStatus::Failed | BuildStatus::None);
    let asked = matches!(current.build_status, BuildStatus::Pending | BuildStatus::Running);
    match (source, deployment) {
        // What a builder elsewhere found out stays true while the content is the same.
        (true, true) if same_content && finished => (current.build_status, current.build_log.clone()),
        (true, true) if same_content && asked => (BuildStatus::None, KEPT_LOG.to_owned()),
        (_, true) => (BuildStatus::None, String::new()),
        (true, false) => (BuildStatus::Failed, NO_BUILDER_LOG.to_owned()),
        (false, false) => (BuildStatus::Failed, EMPTY_LOG.to_owned()),
    }
}

fn conditions(status: BuildStatus, log: &str, generation: Option<i64>, now: &Time) -> Vec<Condition> {
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
            message: if value == "True" { String::new() } else { log.to_owned() },
            observed_generation: generation,
            last_transition_time: now.clone(),
        })
        .into()
}

/// Replaces the condition of the same type; its transition time moves only when its value does.
fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
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
