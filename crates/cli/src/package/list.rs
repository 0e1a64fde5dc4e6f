//! `fission package list`: newest first.

use clap::Args;
use fission_api::Package;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::build_status;
use crate::conditions::{age, status_of};
use crate::failure::Outcome;
use crate::flags::ListFlags;
use crate::session::Session;
use crate::table::{Column, column, wide};
use crate::{noun, output};

/// List packages, newest first
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package list
  fission pkg list --orphan
  fission pkg list --status failed -A")]
pub(crate) struct ListArgs {
    /// Only packages no function uses
    #[arg(long)]
    pub(crate) orphan: bool,
    /// Only packages with this build status
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

/// The columns.
pub(crate) const COLUMNS: [Column<Package>; 7] = [
    column("NAME", |package| package.metadata.name.clone().unwrap_or_default()),
    column("BUILD_STATUS", |package| build_status(package).to_owned()),
    column("ENV", |package| package.spec.environment.name.clone()),
    column("LASTUPDATEDAT", |package| rfc822(last_update(package))),
    column("READY", |package| status_of(package.status.as_ref().map(|status| &status.conditions[..]), "Ready")),
    column("NAMESPACE", |package| package.metadata.namespace.clone().unwrap_or_default()),
    wide("AGE", |package| age(package.metadata.creation_timestamp.as_ref())),
];

pub(crate) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let mut packages: Vec<Package> = noun::list(s, args.list.all_namespaces).await?;
    if let Some(status) = &args.status {
        packages.retain(|package| build_status(package) == status);
    }
    if args.orphan {
        packages = super::delete::orphans(s, packages, args.list.all_namespaces).await?;
    }
    packages.sort_by_key(|package| std::cmp::Reverse(last_update(package).map(|time| time.0)));
    output::list(s, args.list.output.output, &COLUMNS, &packages)
}

/// When its build last changed, else when it was made.
pub(crate) fn last_update(package: &Package) -> Option<&Time> {
    let changed = package.status.as_ref().and_then(|status| status.last_update_timestamp.as_ref());
    changed.or(package.metadata.creation_timestamp.as_ref())
}

/// `23 Nov 26 03:45 UTC`.
pub(crate) fn rfc822(time: Option<&Time>) -> String {
    time.map(|time| time.0.strftime("%d %b %y %H:%M UTC").to_string()).unwrap_or_default()
}
