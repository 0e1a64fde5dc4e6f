//! `fission route create`.

use clap::Args;
use fission_api::{HTTPTrigger, HTTPTriggerSpec, IngressConfig};

use super::exposure::ExposureFlags;
use super::{methods, path, same_place, target};
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, SpecFlags, metadata};
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::spec::save;

/// Create a route
#[derive(Debug, Default, Args)]
#[command(after_help = "EXAMPLES:
  fission route create --method GET --url /hello --function hello
  fission route create --name api --prefix /api --keepprefix --method GET --method POST --function api
  fission route create --url /try --function v1 --weight 90 --function v2 --weight 10")]
pub(crate) struct CreateArgs {
    /// Name of the route; a UUID when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Function called; two with --weight
    #[arg(long, required = true)]
    pub(crate) function: Vec<String>,
    /// Share of each function, in percent
    #[arg(long, value_name = "PERCENT", value_delimiter = ',')]
    pub(crate) weight: Vec<i64>,
    /// Path matched exactly; may hold {name} and {name:regex}
    #[arg(long, value_name = "PATH", required_unless_present = "prefix")]
    pub(crate) url: Option<String>,
    /// Path matched with everything below it; wins over --url
    #[arg(long, value_name = "PATH")]
    pub(crate) prefix: Option<String>,
    /// Leave the prefix on the path the function sees
    #[arg(long)]
    pub(crate) keepprefix: bool,
    /// HTTP method; may be repeated
    #[arg(long, default_value = "GET")]
    pub(crate) method: Vec<String>,
    /// Alias of the function called
    #[arg(long, value_name = "ALIAS", conflicts_with = "function_version")]
    pub(crate) function_alias: Option<String>,
    /// Version of the function called
    #[arg(long, value_name = "VERSION")]
    pub(crate) function_version: Option<String>,
    /// Answer 202 and call later: async
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
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

impl CreateArgs {
    /// The route `function create --url` makes.
    pub(crate) fn simple(
        function: &str,
        url: Option<String>,
        prefix: Option<String>,
        method: Vec<String>,
        to: SpecFlags,
    ) -> Self {
        Self {
            name: Some(uuid::Uuid::new_v4().to_string()),
            function: vec![function.to_owned()],
            url,
            prefix,
            method,
            to,
            ..Self::default()
        }
    }
}

pub(crate) async fn run(mut args: CreateArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    let name = match args.name.take() {
        Some(name) => name,
        None => {
            let name = uuid::Uuid::new_v4().to_string();
            if !args.to.dry {
                s.warn(format, format_args!("--name is not given; the route is called '{name}'"))?;
            }
            name
        }
    };
    for flag in args.exposure.deprecated().into_iter().chain(args.host.is_some().then_some("--host")) {
        s.warn(format, format_args!("{flag} is deprecated; use --route-provider and --route-host"))?;
    }
    if args.to.is_local() {
        let route = build(&args, &name, s.namespace_in_files())?;
        noun::check(&route)?;
        let documents = [save::document(&route)?];
        return save::documents(s, args.to, &format!("route-{name}.yaml"), &documents).await;
    }
    let created = create(&args, &name, s).await?;
    output::done(s, format, &created, format_args!("trigger '{name}' created"))?;
    if s.io.out_is_terminal {
        let place = created.spec.prefix().unwrap_or(&created.spec.relative_url).to_owned();
        if let Ok(Some(router)) = s.router_address().await {
            s.io.suggest(format_args!("curl {router}{place}"));
        }
    }
    Ok(())
}

/// The route of `function create --url`.
pub(crate) async fn for_function(args: CreateArgs, s: &mut Session) -> Outcome {
    let name = args.name.clone().unwrap_or_default();
    let created = create(&args, &name, s).await?;
    let place = created.spec.prefix().unwrap_or(&created.spec.relative_url);
    let methods = created.spec.methods.join(" ");
    s.io.say(format_args!("route created: [{methods}] {place} -> {}", args.function.join(" ")))
}

async fn create(args: &CreateArgs, name: &str, s: &mut Session) -> Outcome<HTTPTrigger> {
    s.client().await?;
    let route = build(args, name, Some(s.namespace.clone()))?;
    noun::check(&route)?;
    target::warn_missing(s, &route.spec.functionref, args.output.output).await?;
    let routes: Vec<HTTPTrigger> = noun::list(s, false).await?;
    if let Some(other) = same_place(&routes, &route) {
        let other = other.metadata.name.clone().unwrap_or_default();
        return Err(Failure::new(format_args!("route '{other}' already matches this path with these methods"))
            .hint(format_args!("change it with: fission route update --name {other} --function FUNCTION")));
    }
    noun::create(s, &route).await
}

fn build(args: &CreateArgs, name: &str, namespace: Option<String>) -> Outcome<HTTPTrigger> {
    let url = args.url.as_deref().map(|url| path("--url", url)).transpose()?;
    let prefix = args.prefix.as_deref().map(|prefix| path("--prefix", prefix)).transpose()?;
    let place = prefix.clone().or(url.clone()).unwrap_or_default();
    let mut spec = HTTPTriggerSpec {
        host: args.host.clone().unwrap_or_default(),
        relative_url: url.unwrap_or_default(),
        prefix: Some(prefix.unwrap_or_default()),
        keep_prefix: args.keepprefix,
        methods: methods(&args.method)?,
        functionref: target::reference(
            &args.function,
            &args.weight,
            args.function_alias.as_ref(),
            args.function_version.as_ref(),
        )?,
        ingress_config: IngressConfig { path: place, host: "*".to_owned(), ..IngressConfig::default() },
        invocation_mode: args.invocation_mode.clone().unwrap_or_default(),
        ..HTTPTriggerSpec::default()
    };
    args.exposure.apply(&mut spec)?;
    let mut route = HTTPTrigger::new(name, spec);
    route.metadata = metadata(name, namespace);
    args.labels.apply(&mut route.metadata)?;
    Ok(route)
}
