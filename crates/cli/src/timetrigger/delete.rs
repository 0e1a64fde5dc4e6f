//! `fission timetrigger delete`.

use clap::Args;
use fission_api::TimeTrigger;

use crate::failure::Outcome;
use crate::flags::DeleteFlags;
use crate::session::Session;
use crate::trigger;

/// Delete a schedule
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission timetrigger delete --name tick")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) what: DeleteFlags,
}

pub(super) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    trigger::delete::<TimeTrigger>(args.what, s).await
}
