//! `fission function update-container`: only what is given changes.

use clap::Args;
use fission_api::Function;

use super::container::{ContainerFlags, is_container};
use super::executor_word;
use super::instances::InstanceFlags;
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, SpecFlags};
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::spec::save;

/// Change a function that is a container image; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function update-container --name site --image nginx:1.29
  fission fn updatec --name site --port 8080 --env-var MODE=test
  fission fn updatec --name site --command ''     # back to what the image runs")]
pub(crate) struct UpdateContainerArgs {
    /// Name of the function
    #[arg(long)]
    pub(crate) name: String,
    /// Image the function is
    #[arg(long)]
    pub(crate) image: Option<String>,
    #[command(flatten)]
    pub(crate) container: ContainerFlags,
    #[command(flatten)]
    pub(crate) instances: InstanceFlags,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    /// Write the changed function to a file below ./specs instead
    #[arg(long)]
    pub(crate) spec: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: UpdateContainerArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    let before: Function = noun::get(s, &args.name).await?;
    if !is_container(&before) {
        let word = executor_word(&before);
        return Err(Failure::new(format_args!(
            "function '{}' is not a container image: it is code ({word})",
            args.name
        ))
        .hint(format_args!("change it with: fission function update --name {}", args.name)));
    }
    let mut function = before.clone();
    let namespace = s.namespace.clone();
    args.instances.apply(&mut function.spec, &namespace)?;
    args.container.apply(&mut function.spec, &args.name, args.image.as_deref())?;
    args.labels.apply(&mut function.metadata)?;
    noun::check(&function)?;
    if args.spec {
        function.metadata.managed_fields = None;
        let documents = [save::document(&function)?];
        let to = SpecFlags { spec: true, dry: false };
        return save::documents(s, to, &format!("function-{}.yaml", args.name), &documents).await;
    }
    args.instances.warn_of_missing(s, format).await?;
    let updated = noun::change(s, &before, &function).await?;
    output::done(s, format, &updated, format_args!("function '{}' updated", args.name))
}
