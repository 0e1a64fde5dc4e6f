//! `fission function getmeta`.

use clap::Args;
use fission_api::Function;

use super::container::{image, is_container};
use crate::failure::Outcome;
use crate::flags::{NameFlag, pairs};
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::table::aligned;
use crate::{conditions, noun};

/// Show a function: environment, labels, annotations, conditions
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function getmeta --name hello
  fission fn getmeta --name hello -o json")]
pub(crate) struct GetmetaArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: GetmetaArgs, s: &mut Session) -> Outcome {
    let function: Function = noun::get(s, &args.name.name).await?;
    if args.output.output.is_for_programs() {
        return output::one(s, args.output.output, &super::COLUMNS, &function);
    }
    let runs = match is_container(&function) {
        true => ("Image:", image(&function)),
        false => ("Environment:", function.spec.environment.name.clone()),
    };
    let rows = [
        ("Name:", args.name.name.clone()),
        runs,
        ("Labels:", pairs(function.metadata.labels.as_ref())),
        ("Annotations:", pairs(function.metadata.annotations.as_ref())),
    ];
    s.io.write(aligned(rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]).collect()))?;
    match &function.status {
        Some(status) => s.io.write(conditions::table(&status.conditions)),
        None => Ok(()),
    }
}
