//! `fission route get`.

use clap::Args;
use fission_api::HTTPTrigger;

use crate::failure::Outcome;
use crate::flags::NameFlag;
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;

/// Show a route
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission route get --name hello
  fission route get --name hello -o yaml")]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: GetArgs, s: &mut Session) -> Outcome {
    let route: HTTPTrigger = noun::get(s, &args.name.name).await?;
    output::one(s, args.output.output, &super::COLUMNS, &route)
}
