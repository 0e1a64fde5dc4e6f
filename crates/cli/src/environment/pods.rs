//! `fission environment pods`: the instances of an environment, generic ones included.

use clap::Args;
use fission_api::{Environment, labels};

use crate::failure::Outcome;
use crate::flags::NameFlag;
use crate::output::OutputFlag;
use crate::session::Session;
use crate::{noun, pods};

/// List the instances of an environment
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission environment pods --name nodejs
  fission env pods --name nodejs --executortype poolmgr")]
pub(crate) struct PodsArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    /// Only those of this executor: poolmgr, newdeploy or container
    #[arg(long, value_name = "TYPE")]
    pub(crate) executortype: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: PodsArgs, s: &mut Session) -> Outcome {
    noun::get::<Environment>(s, &args.name.name).await?;
    let namespace = s.namespace.clone();
    let mut wanted =
        vec![(labels::ENVIRONMENT_NAME, args.name.name.as_str()), (labels::ENVIRONMENT_NAMESPACE, namespace.as_str())];
    if let Some(executor) = &args.executortype {
        wanted.push((labels::EXECUTOR_TYPE, executor));
    }
    let found = pods::with_labels(s, &wanted).await?;
    pods::print(s, args.output.output, &pods::COLUMNS, &found)
}
