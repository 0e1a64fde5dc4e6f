//! `fission environment update`: only what is given changes.

use clap::{ArgAction, Args};
use fission_api::Environment;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, ResourceFlags, container_env};
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;

/// Change an environment; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission environment update --name nodejs --poolsize 5
  fission env update --name nodejs --image fission/node-env:2 --maxmemory 512")]
pub(crate) struct UpdateArgs {
    /// Name of the environment
    #[arg(long)]
    pub(crate) name: String,
    /// Image functions run in
    #[arg(long)]
    pub(crate) image: Option<String>,
    /// Image sources are built with
    #[arg(long, value_name = "IMAGE")]
    pub(crate) builder: Option<String>,
    /// Command that builds
    #[arg(long, value_name = "COMMAND")]
    pub(crate) buildcmd: Option<String>,
    /// Warm instances kept
    #[arg(long)]
    pub(crate) poolsize: Option<u32>,
    #[command(flatten)]
    pub(crate) resources: ResourceFlags,
    /// Seconds an instance may take to end
    #[arg(long, visible_alias = "period", value_name = "SECONDS")]
    pub(crate) graceperiod: Option<u32>,
    /// Let functions reach outside a service mesh
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) externalnetwork: Option<bool>,
    /// Give archives to the environment without unpacking them
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) keeparchive: Option<bool>,
    /// Pull secret of the images
    #[arg(long, value_name = "SECRET")]
    pub(crate) imagepullsecret: Option<String>,
    /// Variables of the runtime, as K=V; those given replace those there
    #[arg(long, value_name = "K=V")]
    pub(crate) runtime_env: Vec<String>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: UpdateArgs, s: &mut Session) -> Outcome {
    let before: Environment = noun::get(s, &args.name).await?;
    let mut environment = before.clone();
    change(&args, &mut environment)?;
    let updated = noun::change(s, &before, &environment).await?;
    output::done(s, args.output.output, &updated, format_args!("environment '{}' updated", args.name))
}

fn change(args: &UpdateArgs, environment: &mut Environment) -> Outcome {
    let spec = &mut environment.spec;
    if spec.version == 1 && (args.builder.is_some() || args.buildcmd.is_some()) {
        return Err(Failure::new("an environment of version 1 cannot have a builder")
            .hint("its version cannot change: create a new environment with --version 3"));
    }
    if let Some(image) = &args.image {
        spec.runtime.image.clone_from(image);
    }
    if let Some(builder) = &args.builder {
        spec.builder.image.clone_from(builder);
    }
    if let Some(command) = &args.buildcmd {
        spec.builder.command.clone_from(command);
    }
    if let Some(poolsize) = args.poolsize {
        spec.poolsize = i64::from(poolsize);
    }
    if let Some(seconds) = args.graceperiod {
        spec.termination_grace_period = Some(i64::from(seconds));
    }
    if let Some(allowed) = args.externalnetwork {
        spec.allow_access_to_external_network = allowed;
    }
    if let Some(keep) = args.keeparchive {
        spec.keeparchive = keep;
    }
    if let Some(secret) = &args.imagepullsecret {
        spec.imagepullsecret.clone_from(secret);
    }
    if !args.runtime_env.is_empty() {
        let container = spec.runtime.container.get_or_insert_default();
        container.0.entry("name").or_insert_with(|| Value::String(args.name.clone()));
        container.0.insert("env".to_owned(), container_env("--runtime-env", &args.runtime_env)?);
    }
    args.resources.apply(&mut spec.resources)?;
    args.labels.apply(&mut environment.metadata)
}
