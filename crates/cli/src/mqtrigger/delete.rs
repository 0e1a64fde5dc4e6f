//! `fission mqtrigger delete`.

use clap::Args;
use fission_api::MessageQueueTrigger;

use crate::failure::Outcome;
use crate::flags::DeleteFlags;
use crate::session::Session;
use crate::trigger;

/// Delete a message queue trigger
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission mqtrigger delete --name orders")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) what: DeleteFlags,
}

pub(super) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    trigger::delete::<MessageQueueTrigger>(args.what, s).await
}
