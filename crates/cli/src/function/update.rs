//! `fission function update`: only what is given changes.

use clap::Args;
use fission_api::{Environment, Function, Package, PackageRef};
use kube::ResourceExt;

use super::advanced::AdvancedFlags;
use super::container::is_container;
use super::network::NetworkFlags;
use super::options::OptionFlags;
use crate::code::sources::SourceFlags;
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, SpecFlags};
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::spec::save;
use crate::{noun, package};

/// Change a function; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function update --name hello --code hello.js
  fission fn update --name hello --requestsperpod 10 --idletimeout 600
  fission fn update --name hello --executortype newdeploy --minscale 1 --maxscale 5")]
pub(crate) struct UpdateArgs {
    /// Name of the function
    #[arg(long)]
    pub(crate) name: String,
    /// Environment it runs in
    #[arg(long)]
    pub(crate) env: Option<String>,
    /// Existing package with the code
    #[arg(long, visible_alias = "pkg", value_name = "PACKAGE", conflicts_with_all = ["code", "deployarchive", "sourcearchive", "oci"])]
    pub(crate) pkgname: Option<String>,
    /// Entry point; its meaning is the environment's
    #[arg(long, visible_alias = "entry")]
    pub(crate) entrypoint: Option<String>,
    #[command(flatten)]
    pub(crate) sources: SourceFlags,
    #[command(flatten)]
    pub(crate) options: OptionFlags,
    #[command(flatten)]
    pub(crate) advanced: AdvancedFlags,
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    /// Change its package although other functions use it too
    #[arg(long, short)]
    pub(crate) force: bool,
    /// Write the changed function to a file below ./specs instead
    #[arg(long)]
    pub(crate) spec: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: UpdateArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    let before: Function = noun::get(s, &args.name).await?;
    refuse_container(&args, &before)?;
    let mut function = before.clone();
    if let Some(env) = &args.env {
        noun::get::<Environment>(s, env).await?;
        function.spec.environment.name.clone_from(env);
    }
    if let Some(entrypoint) = &args.entrypoint {
        function.spec.package.function_name.clone_from(entrypoint);
    }
    let namespace = s.namespace.clone();
    args.options.apply(&mut function.spec, &namespace)?;
    args.advanced.apply(&mut function.spec)?;
    args.labels.apply(&mut function.metadata)?;
    args.network.apply(&mut function.metadata);
    noun::check(&function)?;
    if args.spec {
        function.metadata.managed_fields = None;
        let documents = [save::document(&function)?];
        let to = SpecFlags { spec: true, dry: false };
        return save::documents(s, to, &format!("function-{}.yaml", args.name), &documents).await;
    }
    let mut changed = None;
    if let Some(name) = &args.pkgname {
        let package: Package = noun::get(s, name).await?;
        function.spec.package.package_ref = PackageRef {
            namespace,
            name: name.clone(),
            resourceversion: package.resource_version().unwrap_or_default(),
        };
    } else if args.env.is_some() || args.sources.buildcmd.is_some() || !args.sources.is_empty() {
        let package = change_package(&args, &function, s).await?;
        if !format.is_for_programs() {
            s.io.say(format_args!("Package '{}' updated", package.name_any()))?;
        }
        if !package::is_built(&package) {
            function.spec.package.package_ref.resourceversion = package.resource_version().unwrap_or_default();
        }
        changed = Some(package);
    }
    let updated = noun::change(s, &before, &function).await?;
    output::done(s, format, &updated, format_args!("Function '{}' updated", args.name))?;
    if let Some(package) = &changed {
        package::follow::suggest(package, format, s);
    }
    Ok(())
}

/// An image of its own has no code, environment or entry point to change.
fn refuse_container(args: &UpdateArgs, function: &Function) -> Outcome {
    let sources = !args.sources.is_empty() || args.sources.buildcmd.is_some() || args.pkgname.is_some();
    let of_code = sources || args.env.is_some() || args.entrypoint.is_some() || args.options.executortype.is_some();
    if !of_code || !is_container(function) {
        return Ok(());
    }
    Err(Failure::new(format_args!("function '{}' is a container image and has no code of its own", args.name))
        .hint(format_args!("change it with: fission function update-container --name {} --image IMAGE", args.name)))
}

/// Changes the function's package, and redeploys the others that use it when that was asked for.
async fn change_package(args: &UpdateArgs, function: &Function, s: &mut Session) -> Outcome<Package> {
    let name = &function.spec.package.package_ref.name;
    let before: Package = noun::get(s, name).await?;
    let mut package = before.clone();
    let mut users = package::users_of(s, name).await?;
    package::refuse_shared(name, &users, args.force)?;
    let opened = args.sources.open(&s.io)?;
    package::change(s, &mut package, &opened, args.sources.buildcmd.as_deref()).await?;
    if let Some(env) = &args.env {
        package.spec.environment.name.clone_from(env);
    }
    let updated = noun::change(s, &before, &package).await?;
    users.retain(|user| user.name_any() != args.name);
    package::restamp(s, &updated, users).await?;
    Ok(updated)
}
