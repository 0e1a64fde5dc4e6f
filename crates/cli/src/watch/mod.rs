//! `fission watch`: functions called when Kubernetes objects change.

mod create;
mod delete;
mod list;

pub(crate) use list::COLUMNS;

use clap::Subcommand;
use fission_api::KubernetesWatchTrigger;

use crate::failure::Outcome;
use crate::session::Session;
use crate::wait::WaitArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum WatchVerb {
    Create(create::CreateArgs),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    Wait(WaitArgs),
}

impl WatchVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Create(args) => create::run(args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Wait(args) => crate::wait::run::<KubernetesWatchTrigger>(args, s).await,
        }
    }
}
