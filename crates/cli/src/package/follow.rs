//! A build watched until it is decided: its log as it grows, and how it ended.

use std::pin::pin;
use std::time::Duration;

use fission_api::{BuildStatus, Package};
use futures_util::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::follow_text::Printed;
use crate::failure::{Failure, Outcome};
use crate::io::Io;
use crate::noun::{self, explain, root_of};
use crate::output::Format;
use crate::session::Session;

/// How long an API server may be away: a restart takes seconds.
const AWAY: Duration = Duration::from_secs(60);

/// Prints the log of a package's build as it grows, and gives the package when its build is decided.
pub(crate) async fn printing(
    package: Package,
    s: &mut Session,
    print: impl Fn(&mut Io, &str) -> Outcome,
) -> Outcome<Package> {
    let mut printed = Printed::default();
    let ended = until_decided(package, s, |package, s| {
        let log = package.status.as_ref().map(|status| status.build_log.as_str()).unwrap_or_default();
        // What stands there now may be the log of the build before, which is about to be replaced.
        if is_outdated(package) || build_of(package) == BuildStatus::Pending || log.is_empty() {
            return Ok(());
        }
        let news = printed.next(log);
        if news.is_empty() { Ok(()) } else { print(&mut s.io, &news) }
    })
    .await?;
    if printed.is_within_a_line() {
        print(&mut s.io, "\n")?;
    }
    Ok(ended)
}

/// Waits until the build of a package is decided.
pub(crate) async fn silently(package: Package, s: &mut Session) -> Outcome<Package> {
    until_decided(package, s, |_, _| Ok(())).await
}

/// Whether a decided build is good.
pub(crate) fn verdict(package: &Package) -> Outcome {
    if build_of(package) != BuildStatus::Failed {
        return Ok(());
    }
    let name = package.name_any();
    Err(Failure::new(format_args!("the build of package '{name}' failed"))
        .hint(format_args!("mend the source, then: fission package update --name {name} --sourcearchive FILES"))
        .hint(format_args!("or, when the cause was elsewhere: fission package rebuild --name {name}")))
}

/// Says how to watch the build of a package that was just changed, if it has one.
pub(crate) fn suggest(package: &Package, format: Format, s: &mut Session) {
    if !package.spec.source.is_empty() && !is_decided(package) && !format.is_for_programs() {
        s.io.suggest(format_args!("fission package info --name {} --follow", package.name_any()));
    }
}

async fn until_decided(
    package: Package,
    s: &mut Session,
    mut show: impl FnMut(&Package, &mut Session) -> Outcome,
) -> Outcome<Package> {
    show(&package, s)?;
    if is_decided(&package) {
        return Ok(package);
    }
    let name = package.name_any();
    let doing = format!("cannot follow the build of package '{name}'");
    let api: Api<Package> = noun::api(s).await?;
    let mut changes = pin!(watcher::watch_object(api, &name).default_backoff());
    let mut away: Option<Instant> = None;
    while let Some(change) = changes.next().await {
        match change {
            Ok(Some(package)) => {
                away = None;
                show(&package, s)?;
                if is_decided(&package) {
                    return Ok(package);
                }
            }
            Ok(None) => return Err(Failure::new(format_args!("{doing}: it was deleted"))),
            Err(error) => {
                let since = *away.get_or_insert_with(|| {
                    s.io.complain(format_args!("the API server does not answer ({}); waiting for it", root_of(&error)));
                    Instant::now()
                });
                match refused(error) {
                    Ok(refusal) => return Err(explain(s, &doing, refusal)),
                    Err(cause) if since.elapsed() > AWAY => {
                        return Err(Failure::new(format_args!(
                            "{doing}: the API server has not answered for {} s: {cause}",
                            AWAY.as_secs()
                        ))
                        .hint(
                            "the build goes on without being watched; see whether the platform runs: fission check",
                        ));
                    }
                    Err(_) => {}
                }
            }
        }
    }
    Err(Failure::new(format_args!("{doing}: watching it ended")))
}

/// An answer of the server that would be the same the next time; else the cause in words.
fn refused(error: watcher::Error) -> Result<kube::Error, String> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            if (400..500).contains(&status.code) && !matches!(status.code, 410 | 429) =>
        {
            Ok(kube::Error::Api(status))
        }
        error => Err(root_of(&error)),
    }
}

/// Where a build stands.
pub(crate) fn build_of(package: &Package) -> BuildStatus {
    package.status.as_ref().map(|status| status.build_status).unwrap_or_default()
}

/// Whether nothing more will happen to this content by itself.
fn is_decided(package: &Package) -> bool {
    match build_of(package) {
        BuildStatus::Pending | BuildStatus::Running => false,
        BuildStatus::Unset => package.spec.source.is_empty() && !package.spec.deployment.is_empty(),
        BuildStatus::Succeeded | BuildStatus::Failed | BuildStatus::None => !is_outdated(package),
    }
}

/// Whether the status speaks of what was declared before: an update returns before its build is ordered. A server that
/// does not say what it has seen is believed.
fn is_outdated(package: &Package) -> bool {
    let seen = package.status.iter().flat_map(|status| &status.conditions);
    let seen = seen.filter(|condition| matches!(condition.type_.as_str(), "BuildSucceeded" | "Ready"));
    let newest = seen.filter_map(|condition| condition.observed_generation).max();
    newest.zip(package.metadata.generation).is_some_and(|(seen, now)| seen < now)
}
