//! `fission package`: source or deployable code.

pub(crate) mod create;
mod delete;
pub(crate) mod follow;
mod follow_text;
mod getcode;
mod info;
mod list;
mod rebuild;
mod update;

pub(crate) use getcode::deployment_bytes;
pub(crate) use info::describe;
pub(crate) use list::COLUMNS;
pub(crate) use update::{change, is_built, refuse_shared, restamp, users_of};

use clap::Subcommand;
use fission_api::{BuildStatus, Package};

use crate::failure::Outcome;
use crate::session::Session;
use crate::wait::WaitArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum PackageVerb {
    Create(create::CreateArgs),
    /// Write the source archive of a package
    Getsrc(getcode::GetArgs),
    /// Write the deployment archive of a package
    Getdeploy(getcode::GetArgs),
    Update(update::UpdateArgs),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    Info(info::InfoArgs),
    Rebuild(rebuild::RebuildArgs),
    Wait(WaitArgs),
}

impl PackageVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Create(args) => create::run(args, s).await,
            Self::Getsrc(args) => getcode::source(args, s).await,
            Self::Getdeploy(args) => getcode::deployment(args, s).await,
            Self::Update(args) => update::run(args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Info(args) => info::run(args, s).await,
            Self::Rebuild(args) => rebuild::run(args, s).await,
            Self::Wait(args) => crate::wait::run::<Package>(args, s).await,
        }
    }
}

/// The build status as the API writes it.
pub(crate) fn build_status(package: &Package) -> &'static str {
    match package.status.as_ref().map(|status| status.build_status).unwrap_or_default() {
        BuildStatus::Unset => "",
        BuildStatus::Pending => "pending",
        BuildStatus::Running => "running",
        BuildStatus::Succeeded => "succeeded",
        BuildStatus::Failed => "failed",
        BuildStatus::None => "none",
    }
}
