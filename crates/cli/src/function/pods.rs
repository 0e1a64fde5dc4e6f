//! `fission function pods`: the instances that belong to a function.

use clap::Args;
use fission_api::{Function, labels};

use crate::failure::Outcome;
use crate::flags::NameFlag;
use crate::output::OutputFlag;
use crate::session::Session;
use crate::{noun, pods};

/// List the instances of a function
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function pods --name hello
  fission fn pods --name hello -o json")]
pub(crate) struct PodsArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: PodsArgs, s: &mut Session) -> Outcome {
    noun::get::<Function>(s, &args.name.name).await?;
    let namespace = s.namespace.clone();
    let wanted = [(labels::FUNCTION_NAME, args.name.name.as_str()), (labels::FUNCTION_NAMESPACE, namespace.as_str())];
    let found = pods::with_labels(s, &wanted).await?;
    let columns: Vec<_> = pods::COLUMNS.into_iter().chain(pods::FUNCTION_COLUMNS).collect();
    pods::print(s, args.output.output, &columns, &found)
}
