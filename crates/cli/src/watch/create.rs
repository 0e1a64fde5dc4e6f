//! `fission watch create`.

use clap::Args;
use fission_api::{FunctionReference, KubernetesWatchTrigger, KubernetesWatchTriggerSpec};

use crate::failure::Outcome;
use crate::flags::{LabelFlags, SpecFlags};
use crate::output::OutputFlag;
use crate::session::Session;
use crate::trigger;

/// Call a function when objects of a namespace change
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission watch create --name pods --function hello --type pod")]
pub(crate) struct CreateArgs {
    /// Name of the trigger; a UUID when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Function called
    #[arg(long)]
    pub(crate) function: String,
    /// Type of the objects: pod, service, replicationcontroller or job
    #[arg(long, default_value = "pod", value_name = "TYPE")]
    pub(crate) r#type: String,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(super) async fn run(args: CreateArgs, s: &mut Session) -> Outcome {
    if !args.to.is_local() {
        s.client().await?;
    }
    // The namespace watched must be the trigger's own, so it is written even where others leave theirs out.
    let spec = KubernetesWatchTriggerSpec {
        namespace: s.namespace.clone(),
        kind: args.r#type,
        label_selector: None,
        functionref: FunctionReference::named(args.function),
    };
    let new = trigger::New { name: args.name, labels: LabelFlags::default(), to: args.to, format: args.output.output };
    let function = spec.functionref.name.clone();
    trigger::create(new, "kubewatch", &function, |name| KubernetesWatchTrigger::new(name, spec), s).await
}
