//! `fission environment get`.

use clap::Args;
use fission_api::Environment;

use crate::failure::Outcome;
use crate::flags::NameFlag;
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::table::{Column, column};

/// Show an environment
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission environment get --name nodejs
  fission env get --name nodejs -o yaml")]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

const COLUMNS: [Column<Environment>; 2] = [
    column("NAME", |env| env.metadata.name.clone().unwrap_or_default()),
    column("IMAGE", |env| env.spec.runtime.image.clone()),
];

pub(crate) async fn run(args: GetArgs, s: &mut Session) -> Outcome {
    let environment: Environment = noun::get(s, &args.name.name).await?;
    output::one(s, args.output.output, &COLUMNS, &environment)
}
