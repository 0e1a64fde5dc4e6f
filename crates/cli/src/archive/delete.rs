//! `fission archive delete`.

use clap::Args;

use crate::failure::Outcome;
use crate::session::Session;
use crate::storage;

/// Delete an archive from the storage service
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission archive delete --id ID")]
pub(crate) struct DeleteArgs {
    /// Id of the archive, as `archive list` shows it
    #[arg(long)]
    pub(crate) id: String,
}

pub(super) async fn run(args: DeleteArgs, s: &mut Session) -> Outcome {
    storage::delete(s, &args.id).await?;
    s.io.say(format_args!("Deleted archive with id: {}", args.id))
}
