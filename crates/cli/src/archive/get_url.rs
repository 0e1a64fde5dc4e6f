//! `fission archive get-url`.

use clap::Args;

use crate::failure::Outcome;
use crate::session::Session;
use crate::storage;

/// Show the address packages name an archive by
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission archive get-url --id ID")]
pub(crate) struct GetUrlArgs {
    /// Id of the archive, as `archive list` shows it
    #[arg(long)]
    pub(crate) id: String,
}

pub(super) fn run(args: GetUrlArgs, s: &mut Session) -> Outcome {
    s.io.say(format_args!("URL: {}", storage::url_of(&args.id)))
}
