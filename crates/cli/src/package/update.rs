//! `fission package update`: only what is given changes; the functions that use it are redeployed.

use clap::Args;
use fission_api::{Environment, Function, Package};
use kube::ResourceExt;

use super::follow;
use crate::code::sources::{Opened, SourceFlags};
use crate::failure::{Failure, Outcome};
use crate::flags::LabelFlags;
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;

/// Change a package; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package update --name hello --code hello.js
  fission pkg update --name shared --deployarchive dist/ --force")]
pub(crate) struct UpdateArgs {
    /// Name of the package
    #[arg(long)]
    pub(crate) name: String,
    /// Environment it is built and run in
    #[arg(long)]
    pub(crate) env: Option<String>,
    #[command(flatten)]
    pub(crate) sources: SourceFlags,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    /// Change it although several functions use it
    #[arg(long, short)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: UpdateArgs, s: &mut Session) -> Outcome {
    let before: Package = noun::get(s, &args.name).await?;
    let mut package = before.clone();
    let users = users_of(s, &args.name).await?;
    refuse_shared(&args.name, &users, args.force)?;
    let opened = args.sources.open(&s.io)?;
    if let Some(env) = &args.env {
        noun::get::<Environment>(s, env).await?;
        package.spec.environment.name.clone_from(env);
    }
    change(s, &mut package, &opened, args.sources.buildcmd.as_deref()).await?;
    args.labels.apply(&mut package.metadata)?;
    let updated = noun::change(s, &before, &package).await?;
    restamp(s, &updated, users).await?;
    output::done(s, args.output.output, &updated, format_args!("Package '{}' updated", args.name))?;
    follow::suggest(&updated, args.output.output, s);
    Ok(())
}

/// Several functions share a package: changing it changes them all.
pub(crate) fn refuse_shared(name: &str, users: &[Function], force: bool) -> Outcome {
    if users.len() < 2 || force {
        return Ok(());
    }
    let names: Vec<String> = users.iter().map(ResourceExt::name_any).collect();
    Err(Failure::new(format_args!("package '{name}' is used by several functions: {}", names.join(", ")))
        .hint("use --force to change the code of all of them"))
}

/// Puts new code into a package. Code to deploy as it is needs no source; what was built before stays in use until new
/// source is built.
pub(crate) async fn change(s: &mut Session, package: &mut Package, opened: &Opened, buildcmd: Option<&str>) -> Outcome {
    let (source, deployment) = (opened.source(s).await?, opened.deployment(s).await?);
    match (source, deployment) {
        (None, None) => {}
        (Some(source), None) => package.spec.source = source,
        (source, Some(deployment)) => {
            package.spec.source = source.unwrap_or_default();
            package.spec.deployment = deployment;
        }
    }
    if let Some(buildcmd) = buildcmd {
        buildcmd.clone_into(&mut package.spec.buildcmd);
    }
    Ok(())
}

/// Whether what a package deploys is made from its source.
pub(crate) fn is_built(package: &Package) -> bool {
    !package.spec.source.is_empty()
}

/// The functions that use a package.
pub(crate) async fn users_of(s: &mut Session, package: &str) -> Outcome<Vec<Function>> {
    let mut functions: Vec<Function> = noun::list(s, false).await?;
    functions.retain(|function| function.spec.package.package_ref.name == package);
    Ok(functions)
}

/// Stamps functions with the version of their package, which redeploys them. Those of a package with source are left to
/// its builder: until it is done there is nothing new to deploy.
pub(crate) async fn restamp(s: &mut Session, package: &Package, users: Vec<Function>) -> Outcome {
    if is_built(package) {
        return Ok(());
    }
    let version = package.resource_version().unwrap_or_default();
    for before in users {
        if before.spec.package.package_ref.resourceversion != version {
            let mut function = before.clone();
            function.spec.package.package_ref.resourceversion.clone_from(&version);
            noun::change(s, &before, &function).await?;
        }
    }
    Ok(())
}
