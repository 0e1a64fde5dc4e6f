//! `fission environment list`.

use clap::Args;
use fission_api::Environment;

use crate::failure::Outcome;
use crate::flags::ListFlags;
use crate::session::Session;
use crate::{noun, output};

/// List environments
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission environment list
  fission env list -A -o json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) list: ListFlags,
}

pub(crate) async fn run(args: ListArgs, s: &mut Session) -> Outcome {
    let environments: Vec<Environment> = noun::list(s, args.list.all_namespaces).await?;
    output::list(s, args.list.output.output, &super::COLUMNS, &environments)
}
