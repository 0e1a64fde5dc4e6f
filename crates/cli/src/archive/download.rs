//! `fission archive download`.

use clap::Args;

use crate::failure::{Doing, Outcome};
use crate::session::Session;
use crate::storage;

/// Download an archive from the storage service
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission archive download --id ID --output code.zip")]
pub(crate) struct DownloadArgs {
    /// Id of the archive, as `archive list` shows it
    #[arg(long)]
    pub(crate) id: String,
    /// File to write; called like the archive when not given
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

pub(super) async fn run(args: DownloadArgs, s: &mut Session) -> Outcome {
    let file = args.output.unwrap_or_else(|| args.id.rsplit('/').next().unwrap_or(&args.id).to_owned());
    let bytes = storage::download(s, &args.id).await?;
    std::fs::write(s.io.path(&file), bytes).doing(format_args!("cannot write {file}"))?;
    s.io.say(format_args!("File download complete. File name: {file}"))
}
