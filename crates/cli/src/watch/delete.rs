//! `fission watch delete`.

use clap::Args;
use fission_api::KubernetesWatchTrigger;

use crate::failure::Outcome;
use crate::flags::DeleteFlags;
use crate::session::Session;
use crate::trigger;

/// Delete a watch
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission watch delete --name pods")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) what: DeleteFlags,
    /// Accepted for older scripts; the name alone says which watch
    #[arg(long, hide = true)]
    pub(crate) function: Option<String>,
}

pub(super) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    trigger::delete::<KubernetesWatchTrigger>(args.what, s).await
}
