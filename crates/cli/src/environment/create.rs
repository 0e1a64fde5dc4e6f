//! `fission environment create`.

use clap::Args;
use fission_api::{Environment, EnvironmentSpec, environment::DEFAULT_POOL_SIZE};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, ResourceFlags, SpecFlags, container_env, metadata, opaque};
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::spec::save;

/// Create an environment
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission environment create --name nodejs --image fission/node-env
  fission env create --name python --image fission/python-env --poolsize 1 --maxmemory 256
  fission env create --name go --image fission/go-env --builder fission/go-builder --spec")]
pub(crate) struct CreateArgs {
    /// Name of the environment
    #[arg(long)]
    pub(crate) name: String,
    /// Image functions run in; on one machine the name of a built-in environment
    #[arg(long)]
    pub(crate) image: String,
    /// Image sources are built with
    #[arg(long, value_name = "IMAGE")]
    pub(crate) builder: Option<String>,
    /// Command that builds; `build` when --builder is given
    #[arg(long, value_name = "COMMAND")]
    pub(crate) buildcmd: Option<String>,
    /// Warm instances kept; 3 when not given
    #[arg(long)]
    pub(crate) poolsize: Option<u32>,
    /// Version of the environment's interface: 1, 2 or 3
    #[arg(long, default_value_t = 3)]
    pub(crate) version: i64,
    #[command(flatten)]
    pub(crate) resources: ResourceFlags,
    /// Seconds an instance may take to end
    #[arg(long, visible_alias = "period", default_value_t = 90, value_name = "SECONDS")]
    pub(crate) graceperiod: u32,
    /// Let functions reach outside a service mesh
    #[arg(long)]
    pub(crate) externalnetwork: bool,
    /// Give archives to the environment without unpacking them
    #[arg(long)]
    pub(crate) keeparchive: bool,
    /// Pull secret of the images
    #[arg(long, value_name = "SECRET")]
    pub(crate) imagepullsecret: Option<String>,
    /// Variable of the runtime, as K=V; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) runtime_env: Vec<String>,
    /// Variable of the builder, as K=V; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) builder_env: Vec<String>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: CreateArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    if args.poolsize.is_none() && args.version >= 3 && !format.is_for_programs() && !args.to.dry {
        s.io.say(format_args!("poolsize setting default to {DEFAULT_POOL_SIZE}"))?;
    }
    let (to, name) = (args.to, args.name.clone());
    if to.is_local() {
        let environment = build(args, s.namespace_in_files())?;
        noun::check(&environment)?;
        return save::documents(s, to, &format!("env-{name}.yaml"), &[save::document(&environment)?]).await;
    }
    s.client().await?;
    let environment = build(args, Some(s.namespace.clone()))?;
    let created = noun::create(s, &environment).await?;
    output::done(s, format, &created, format_args!("environment '{name}' created"))?;
    s.io.suggest(format_args!("fission function create --name hello --env {name} --code FILE"));
    Ok(())
}

/// The object the flags describe. Containers are named as Fission's own tools name them, builder or not.
fn build(args: CreateArgs, namespace: Option<String>) -> Outcome<Environment> {
    let version = if args.version == 0 { 1 } else { args.version };
    let builder = args.builder.unwrap_or_default();
    if version == 1 && (!builder.is_empty() || args.buildcmd.is_some()) {
        return Err(Failure::new("an environment of version 1 cannot have a builder").hint("use --version 2 or 3"));
    }
    let mut spec = EnvironmentSpec {
        version,
        poolsize: i64::from(args.poolsize.unwrap_or(DEFAULT_POOL_SIZE.unsigned_abs() as u32)),
        termination_grace_period: Some(i64::from(args.graceperiod)),
        allow_access_to_external_network: args.externalnetwork,
        keeparchive: args.keeparchive,
        imagepullsecret: args.imagepullsecret.unwrap_or_default(),
        ..EnvironmentSpec::default()
    };
    spec.runtime.image = args.image;
    spec.runtime.container = opaque(container(&args.name, container_env("--runtime-env", &args.runtime_env)?));
    spec.runtime.podspec = opaque(json!({ "containers": [{ "name": args.name }] }));
    spec.builder.command = match args.buildcmd {
        Some(command) => command,
        None if builder.is_empty() => String::new(),
        None => "build".to_owned(),
    };
    spec.builder.image = builder;
    spec.builder.container = opaque(container("builder", container_env("--builder-env", &args.builder_env)?));
    spec.builder.podspec = opaque(json!({ "containers": [{ "name": "builder" }] }));
    args.resources.apply(&mut spec.resources)?;
    let mut environment = Environment::new(&args.name, spec);
    environment.metadata = metadata(&args.name, namespace);
    args.labels.apply(&mut environment.metadata)?;
    Ok(environment)
}

fn container(name: &str, env: Value) -> Value {
    match env.as_array() {
        Some(variables) if !variables.is_empty() => json!({ "name": name, "env": variables }),
        _ => json!({ "name": name }),
    }
}
