//! `fission function create`: code into a package, a function that uses it, and nothing left behind when it fails.

use clap::Args;
use fission_api::function::{
    DEFAULT_CONCURRENCY, DEFAULT_IDLE_TIMEOUT_SECONDS, DEFAULT_REQUESTS_PER_POD,
    DEFAULT_SPECIALIZATION_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS,
};
use fission_api::{Environment, EnvironmentReference, ExecutorType, Function, FunctionSpec, Package, PackageRef};
use kube::ResourceExt;

use super::advanced::AdvancedFlags;
use super::network::NetworkFlags;
use super::options::OptionFlags;
use crate::code::sources::{SourceFlags, no_code};
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, SpecFlags, metadata};
use crate::output::{self, Format, OutputFlag};
use crate::package::create::{Draft, MAX_NAME};
use crate::session::Session;
use crate::spec::save;
use crate::{noun, package};

/// Create a function
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function create --name hello --env nodejs --code hello.js
  fission fn create --name site --env nodejs --deployarchive dist/ --entrypoint server.handler
  fission fn create --name busy --env python --code busy.py --requestsperpod 4 --concurrency 20
  fission fn create --name hello --env nodejs --code hello.js --spec")]
pub(crate) struct CreateArgs {
    /// Name of the function
    #[arg(long)]
    pub(crate) name: String,
    /// Environment it runs in; may be left out with --pkgname
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
    /// Also create a route to this path (deprecated: use `fission route create`)
    #[arg(long, value_name = "PATH")]
    pub(crate) url: Option<String>,
    /// Also create a route to everything below this path (deprecated)
    #[arg(long, value_name = "PATH")]
    pub(crate) prefix: Option<String>,
    /// Methods of that route
    #[arg(long, default_value = "GET")]
    pub(crate) method: Vec<String>,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: CreateArgs, s: &mut Session) -> Outcome {
    if args.sources.is_empty() && args.pkgname.is_none() {
        return Err(match &args.env {
            Some(_) => no_code(),
            None => Failure::new("need --env argument").hint("see the environments with: fission environment list"),
        });
    }
    if args.env.is_none() && args.pkgname.is_none() {
        return Err(Failure::new("need --env argument").hint("see the environments with: fission environment list"));
    }
    if args.to.is_local() { local(args, s).await } else { remote(args, s).await }
}

/// Files or standard output instead of the API server.
async fn local(args: CreateArgs, s: &mut Session) -> Outcome {
    let mut documents = Vec::new();
    let (package, env) = match (&args.pkgname, &args.env) {
        (Some(package), env) => (package.clone(), env.clone().unwrap_or_default()),
        (None, env) => {
            let draft = draft(&args, args.name.clone(), env.clone().unwrap_or_default());
            documents = draft.documents(s).await?;
            (args.name.clone(), draft.env)
        }
    };
    let reference = PackageRef {
        namespace: s.namespace_in_files().unwrap_or_default(),
        name: package,
        resourceversion: String::new(),
    };
    let function = build(&args, s.namespace_in_files(), &env, reference)?;
    noun::check(&function)?;
    documents.push(save::document(&function)?);
    save::documents(s, args.to, &format!("function-{}.yaml", args.name), &documents).await?;
    let route = route_args(&args);
    match route {
        Some(route) => crate::route::create::run(route, s).await,
        None => Ok(()),
    }
}

async fn remote(args: CreateArgs, s: &mut Session) -> Outcome {
    let format = args.output.output;
    s.client().await?;
    // Everything that can be wrong is looked at before anything is stored.
    if noun::find::<Function>(s, &args.name).await?.is_some() {
        return Err(Failure::new("a function with the same name already exists")
            .hint(format_args!("change it with: fission function update --name {} --code FILE", args.name)));
    }
    let package: Option<Package> = match &args.pkgname {
        Some(package) => Some(noun::get(s, package).await?),
        None => None,
    };
    let in_package = package.as_ref().map(|package| package.spec.environment.name.clone());
    let env = args.env.clone().or(in_package.clone()).unwrap_or_default();
    noun::get::<Environment>(s, &env).await?;
    if in_package.as_ref().is_some_and(|in_package| *in_package != env) {
        let in_package = in_package.unwrap_or_default();
        s.warn(format, format_args!("the package was made for environment '{in_package}', not for '{env}'"))?;
    }
    let trial = build(&args, Some(s.namespace.clone()), &env, PackageRef::default())?;
    noun::check(&trial)?;
    warn_before(&args, s, format).await?;
    let (package, made) = match package {
        Some(package) => (package, false),
        None => {
            let opened = args.sources.open(&s.io)?;
            let package = draft(&args, package_name(&args.name), env.clone()).create(s, &opened).await?;
            if !format.is_for_programs() {
                s.io.say(format_args!("Package '{}' created", package.name_any()))?;
            }
            (package, true)
        }
    };
    let created = finish(&args, s, &env, &package).await;
    if created.is_err() && made {
        // Best effort: the first failure is the one to report.
        let _ = noun::delete::<Package>(s, &package.name_any(), true).await;
    }
    let created = created?;
    output::done(s, format, &created, format_args!("function '{}' created", args.name))?;
    package::follow::suggest(&package, format, s);
    if let Some(route) = route_args(&args) {
        return crate::route::create::for_function(route, s).await;
    }
    s.io.suggest(format_args!("fission route create --method GET --url /{0} --function {0}", args.name));
    Ok(())
}

async fn finish(args: &CreateArgs, s: &mut Session, env: &str, package: &Package) -> Outcome<Function> {
    let reference = PackageRef {
        namespace: s.namespace.clone(),
        name: package.name_any(),
        resourceversion: package.resource_version().unwrap_or_default(),
    };
    let function = build(args, Some(s.namespace.clone()), env, reference)?;
    noun::create(s, &function).await
}

fn draft(args: &CreateArgs, name: String, env: String) -> Draft {
    Draft {
        name,
        env,
        sources: args.sources.clone(),
        buildcmd: args.sources.buildcmd.clone(),
        labels: LabelFlags::default(),
    }
}

/// The function the flags describe.
fn build(args: &CreateArgs, namespace: Option<String>, env: &str, package: PackageRef) -> Outcome<Function> {
    let mut spec = defaults(namespace.clone().unwrap_or_default(), env, package);
    spec.package.function_name = args.entrypoint.clone().unwrap_or_default();
    args.options.apply(&mut spec, namespace.as_deref().unwrap_or("default"))?;
    args.advanced.apply(&mut spec)?;
    let mut function = Function::new(&args.name, spec);
    function.metadata = metadata(&args.name, namespace);
    args.labels.apply(&mut function.metadata)?;
    args.network.apply(&mut function.metadata);
    Ok(function)
}

/// A function with every default written out, as Fission's own tools do.
pub(super) fn defaults(namespace: String, env: &str, package: PackageRef) -> FunctionSpec {
    let mut spec = FunctionSpec {
        environment: EnvironmentReference { namespace, name: env.to_owned() },
        function_timeout: DEFAULT_TIMEOUT_SECONDS,
        idle_timeout: Some(DEFAULT_IDLE_TIMEOUT_SECONDS),
        concurrency: DEFAULT_CONCURRENCY,
        requests_per_pod: DEFAULT_REQUESTS_PER_POD,
        ..FunctionSpec::default()
    };
    spec.package.package_ref = package;
    let strategy = &mut spec.invoke_strategy.execution_strategy;
    strategy.executor_type = ExecutorType::Poolmgr;
    strategy.specialization_timeout = DEFAULT_SPECIALIZATION_TIMEOUT_SECONDS;
    spec
}

/// What would be done without, or has no effect.
async fn warn_before(args: &CreateArgs, s: &mut Session, format: Format) -> Outcome {
    let instances = &args.options.instances;
    instances.warn_of_missing(s, format).await?;
    if !instances.resources.is_empty() && args.options.executortype.as_deref().unwrap_or("poolmgr") == "poolmgr" {
        s.warn(
            format,
            "cpu and memory of a poolmgr function are those of its environment; these flags have no effect",
        )?;
    }
    Ok(())
}

fn route_args(args: &CreateArgs) -> Option<crate::route::create::CreateArgs> {
    (args.url.is_some() || args.prefix.is_some()).then(|| {
        crate::route::create::CreateArgs::simple(
            &args.name,
            args.url.clone(),
            args.prefix.clone(),
            args.method.clone(),
            args.to,
        )
    })
}

/// `<function>-<uuid>`, cut to the longest name there may be.
fn package_name(function: &str) -> String {
    let mut name = format!("{function}-{}", uuid::Uuid::new_v4());
    name.truncate(MAX_NAME);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_are_never_too_long() {
        assert_eq!(package_name("hello").len(), 5 + 1 + 36);
        assert!(package_name(&"a".repeat(63)).len() <= MAX_NAME);
        assert!(!package_name(&"a".repeat(62)).ends_with('-'));
    }
}
