//! The objects of a run: an environment, the package with the code, the function, and a route that gives it every path.

use std::path::PathBuf;

use fission_api::{
    Archive, BuildStatus, Environment, Function, FunctionReference, FunctionReferenceType, HTTPTrigger,
    HTTPTriggerSpec, Package, PackageRef,
};
use kube::ResourceExt;

use super::RunLocalArgs;
use super::configuration::Configuration;
use super::language::Chosen;
use crate::code::bundle::split_pattern;
use crate::code::download::is_url;
use crate::code::sources::SourceFlags;
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, metadata};
use crate::function::create::defaults;
use crate::io::Io;
use crate::package::create::{Draft, as_name};
use crate::session::Session;
use crate::{noun, package};

/// Every path, `/` too, which a plain prefix cannot say. The function sees the path as it was sent.
const EVERY_PATH: &str = "/{path:.*}";
/// Name of the environment and the route.
const NAME: &str = "run-local";

/// What was declared.
pub(super) struct Project {
    pub(super) name: String,
    sources: SourceFlags,
    package: Package,
    function: Function,
}

/// What became of a change of the files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// The next request runs the new code.
    Loaded,
    /// The files are what they were.
    Same,
}

impl Project {
    /// Declares everything; source is built when this returns.
    pub(super) async fn declare(
        args: &RunLocalArgs,
        sources: &SourceFlags,
        chosen: Chosen,
        configuration: &Configuration,
        s: &mut Session,
    ) -> Outcome<Self> {
        let name = name_of(args, sources);
        let namespace = s.namespace.clone();
        let meta = |name: &str| metadata(name, Some(namespace.clone()));
        let opened = sources.open(&s.io)?;
        let environment = Environment { metadata: meta(NAME), spec: chosen.spec, status: None };
        noun::create(s, &environment).await?;
        configuration.store(s).await?;
        let draft = Draft {
            name: name.clone(),
            env: NAME.to_owned(),
            sources: sources.clone(),
            buildcmd: sources.buildcmd.clone(),
            labels: LabelFlags::default(),
        };
        let package = draft.create(s, &opened).await?;
        let reference = PackageRef {
            namespace: namespace.clone(),
            name: name.clone(),
            resourceversion: package.resource_version().unwrap_or_default(),
        };
        let mut spec = defaults(namespace.clone(), NAME, reference);
        spec.package.function_name = args.entrypoint.clone().unwrap_or_default();
        args.scale().apply(&mut spec, &namespace)?;
        configuration.apply(&mut spec, &namespace);
        let function = noun::create(s, &Function { metadata: meta(&name), spec, status: None }).await?;
        let route = HTTPTriggerSpec {
            prefix: Some(EVERY_PATH.to_owned()),
            keep_prefix: true,
            methods: fission_api::http_trigger::METHODS.map(str::to_owned).to_vec(),
            functionref: FunctionReference {
                kind: FunctionReferenceType::Name,
                name: name.clone(),
                ..FunctionReference::default()
            },
            ..HTTPTriggerSpec::default()
        };
        noun::create(s, &HTTPTrigger { metadata: meta(NAME), spec: route, status: None }).await?;
        Ok(Self { name, sources: sources.clone(), package, function })
    }

    /// Waits for the build of the source, if there is any, and shows its log.
    pub(super) async fn built(&mut self, s: &mut Session) -> Outcome {
        if self.package.spec.source.is_empty() {
            return Ok(());
        }
        let show = |io: &mut Io, text: &str| {
            io.complain_exactly(text);
            Ok(())
        };
        self.package = package::follow::printing(self.package.clone(), s, show).await?;
        match package::follow::build_of(&self.package) {
            BuildStatus::Failed => Err(Failure::new("the build failed").hint("the lines above say why")),
            _ => Ok(()),
        }
    }

    /// Makes the files as they are now what the function runs.
    pub(super) async fn update(&mut self, s: &mut Session) -> Outcome<Update> {
        let opened = self.sources.open(&s.io)?;
        let before = self.package.clone();
        let mut after = before.clone();
        package::change(s, &mut after, &opened, None).await?;
        let same = |one: &Archive, other: &Archive| match (one.checksum.sum.as_str(), other.checksum.sum.as_str()) {
            ("", "") => one == other,
            (one, other) => one == other,
        };
        if same(&before.spec.source, &after.spec.source) && same(&before.spec.deployment, &after.spec.deployment) {
            return Ok(Update::Same);
        }
        self.package = noun::change(s, &before, &after).await?;
        if package::is_built(&self.package) {
            self.built(s).await?;
            return Ok(Update::Loaded);
        }
        // The platform would do it, too; this is sooner.
        let mut function = self.function.clone();
        let version = self.package.resource_version().unwrap_or_default();
        function.spec.package.package_ref.resourceversion = version;
        self.function = noun::change(s, &self.function, &function).await?;
        Ok(Update::Loaded)
    }
}

/// The files the code is made of.
pub(super) fn inputs(sources: &SourceFlags, io: &Io) -> Vec<PathBuf> {
    let all = sources.code.iter().chain(&sources.deployarchive).chain(&sources.sourcearchive);
    all.filter(|input| !is_url(input)).map(|input| split_pattern(&io.dir, input).0).collect()
}

/// The name given, else that of the file.
fn name_of(args: &RunLocalArgs, sources: &SourceFlags) -> String {
    if let Some(name) = &args.name {
        return name.clone();
    }
    let file = sources.first_input().and_then(|input| input.rsplit('/').find(|part| !part.is_empty()));
    let name = as_name(file.unwrap_or_default().split('.').next().unwrap_or_default());
    // Names begin with a letter.
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { NAME.to_owned() }
}
