//! `fission route update`: only what is given changes.

use clap::{ArgAction, Args};
use fission_api::HTTPTrigger;

use super::exposure::ExposureFlags;
use super::{methods, path, same_place, target};
use crate::failure::{Failure, Outcome};
use crate::flags::LabelFlags;
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;

/// Change a route; what is not given stays as it is
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission route update --name hello --function hello-v2
  fission route update --name hello --method GET --method POST
  fission route update --name try --function v1 --weight 50 --function v2 --weight 50")]
pub(crate) struct UpdateArgs {
    /// Name of the route
    #[arg(long)]
    pub(crate) name: String,
    /// Function called; two with --weight
    #[arg(long)]
    pub(crate) function: Vec<String>,
    /// Share of each function, in percent
    #[arg(long, value_name = "PERCENT", value_delimiter = ',')]
    pub(crate) weight: Vec<i64>,
    /// Path matched exactly; may hold {name} and {name:regex}
    #[arg(long, value_name = "PATH")]
    pub(crate) url: Option<String>,
    /// Path matched with everything below it; empty takes it away
    #[arg(long, value_name = "PATH")]
    pub(crate) prefix: Option<String>,
    /// Leave the prefix on the path the function sees
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) keepprefix: Option<bool>,
    /// HTTP method; may be repeated; those given replace those there
    #[arg(long)]
    pub(crate) method: Vec<String>,
    /// Alias of the function called
    #[arg(long, value_name = "ALIAS", requires = "function", conflicts_with = "function_version")]
    pub(crate) function_alias: Option<String>,
    /// Version of the function called
    #[arg(long, value_name = "VERSION", requires = "function")]
    pub(crate) function_version: Option<String>,
    /// Answer 202 and call later: async; empty takes it away
    #[arg(long, value_name = "MODE", value_parser = ["async", ""])]
    pub(crate) invocation_mode: Option<String>,
    #[command(flatten)]
    pub(crate) exposure: ExposureFlags,
    /// Host matched (deprecated)
    #[arg(long)]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: UpdateArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    let before: HTTPTrigger = noun::get(s, &args.name).await?;
    let mut route = before.clone();
    for flag in args.exposure.deprecated().into_iter().chain(args.host.is_some().then_some("--host")) {
        s.warn(format, format_args!("{flag} is deprecated; use --route-provider and --route-host"))?;
    }
    change(&args, &mut route)?;
    noun::check(&route)?;
    if !args.function.is_empty() {
        target::warn_missing(s, &route.spec.functionref, format).await?;
    }
    let routes: Vec<HTTPTrigger> = noun::list(s, false).await?;
    if let Some(other) = same_place(&routes, &route) {
        let other = other.metadata.name.clone().unwrap_or_default();
        return Err(Failure::new(format_args!("route '{other}' already matches this path with these methods")));
    }
    let updated = noun::change(s, &before, &route).await?;
    output::done(s, format, &updated, format_args!("trigger '{}' updated", args.name))
}

fn change(args: &UpdateArgs, route: &mut HTTPTrigger) -> Outcome {
    let spec = &mut route.spec;
    let own_path = spec.prefix().unwrap_or(&spec.relative_url).to_owned();
    match args.url.as_deref() {
        None => {}
        Some("") => spec.relative_url.clear(),
        Some(url) => spec.relative_url = path("--url", url)?,
    }
    match args.prefix.as_deref() {
        None => {}
        Some("") => spec.prefix = Some(String::new()),
        Some(prefix) => spec.prefix = Some(path("--prefix", prefix)?),
    }
    // An Ingress path that only repeated the route's follows it.
    if spec.ingress_config.path == own_path {
        spec.ingress_config.path = spec.prefix().unwrap_or(&spec.relative_url).to_owned();
    }
    if let Some(keep) = args.keepprefix {
        spec.keep_prefix = keep;
    }
    if !args.method.is_empty() {
        spec.methods = methods(&args.method)?;
        spec.method.clear();
    }
    if !args.function.is_empty() {
        spec.functionref = target::reference(
            &args.function,
            &args.weight,
            args.function_alias.as_ref(),
            args.function_version.as_ref(),
        )?;
    } else if !args.weight.is_empty() {
        return Err(Failure::new("--weight needs the two --function it is for"));
    }
    if let Some(mode) = &args.invocation_mode {
        spec.invocation_mode.clone_from(mode);
    }
    if let Some(host) = &args.host {
        spec.host.clone_from(host);
    }
    args.exposure.apply(spec)?;
    args.labels.apply(&mut route.metadata)
}
