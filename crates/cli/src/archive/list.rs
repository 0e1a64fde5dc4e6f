//! `fission archive list`.

use clap::Args;

use crate::failure::Outcome;
use crate::output::{Format, OutputFlag, rendered};
use crate::session::Session;
use crate::storage;

/// List the archives in the storage service
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission archive list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(super) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let ids = storage::list(s).await?;
    match args.output.output {
        Format::Json | Format::Yaml => {
            let text = rendered(args.output.output, &ids)?;
            return s.io.write(text);
        }
        Format::Name => {}
        Format::Text | Format::Wide => s.io.say("ARCHIVES")?,
    }
    ids.iter().try_for_each(|id| s.io.say(id))
}
