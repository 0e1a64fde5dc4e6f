//! `fission function run-container`: a function that is an image of the user's own, and has no code besides.

use clap::Args;
use fission_api::function::{DEFAULT_IDLE_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS};
use fission_api::{ExecutorType, Function, FunctionSpec};

use super::container::{ContainerFlags, DEFAULT_GRACE, DEFAULT_PORT};
use super::instances::InstanceFlags;
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, SpecFlags, metadata};
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::spec::save;

/// Create a function that is a container image; needs a cluster
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function run-container --name site --image nginx --port 80
  fission fn runc --name report --image registry.example/report:3 --imagepullsecret registry --minscale 0 --maxscale 5
  fission fn runc --name echo --image busybox --command 'sh -c' --args '\"exec httpd -f -p 8888\"'
  fission fn runc --name site --image nginx --port 80 --spec")]
pub(crate) struct RunContainerArgs {
    /// Name of the function
    #[arg(long)]
    pub(crate) name: String,
    /// Image the function is
    #[arg(long)]
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) container: ContainerFlags,
    #[command(flatten)]
    pub(crate) instances: InstanceFlags,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: RunContainerArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    if args.to.is_local() {
        // Fission's own tools write the namespace of these functions even where they leave out others'.
        let function = build(&args, s.namespace.clone())?;
        noun::check(&function)?;
        let documents = [save::document(&function)?];
        return save::documents(s, args.to, &format!("function-{}.yaml", args.name), &documents).await;
    }
    s.client().await?;
    if noun::find::<Function>(s, &args.name).await?.is_some() {
        return Err(Failure::new("a function with the same name already exists").hint(format_args!(
            "change it with: fission function update-container --name {} --image IMAGE",
            args.name
        )));
    }
    let function = build(&args, s.namespace.clone())?;
    noun::check(&function)?;
    args.instances.warn_of_missing(s, format).await?;
    let created = noun::create(s, &function).await?;
    output::done(s, format, &created, format_args!("function '{}' created", args.name))?;
    s.io.suggest(format_args!("fission route create --method GET --url /{0} --function {0}", args.name));
    Ok(())
}

/// The function the flags describe, with every default written out, as Fission's own tools do.
fn build(args: &RunContainerArgs, namespace: String) -> Outcome<Function> {
    let mut spec = FunctionSpec {
        function_timeout: DEFAULT_TIMEOUT_SECONDS,
        idle_timeout: Some(DEFAULT_IDLE_TIMEOUT_SECONDS),
        ..FunctionSpec::default()
    };
    spec.invoke_strategy.execution_strategy.executor_type = ExecutorType::Container;
    args.instances.apply(&mut spec, &namespace)?;
    let container = ContainerFlags {
        port: args.container.port.or(Some(DEFAULT_PORT)),
        graceperiod: args.container.graceperiod.or(Some(DEFAULT_GRACE)),
        ..args.container.clone()
    };
    container.apply(&mut spec, &args.name, Some(&args.image))?;
    let mut function = Function::new(&args.name, spec);
    function.metadata = metadata(&args.name, Some(namespace));
    args.labels.apply(&mut function.metadata)?;
    Ok(function)
}
