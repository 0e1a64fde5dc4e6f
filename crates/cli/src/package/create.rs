//! `fission package create`.

use clap::Args;
use fission_api::{Archive, Environment, EnvironmentReference, Package, PackageSpec};

use super::follow;
use crate::code::sources::{Opened, SourceFlags, no_code};
use crate::failure::{Failure, Outcome};
use crate::flags::{LabelFlags, SpecFlags, metadata};
use crate::noun;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::spec::save::{self, Document};

/// Longest name of an object.
pub(crate) const MAX_NAME: usize = 63;

/// Create a package
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package create --name hello --env nodejs --code hello.js
  fission pkg create --name site --env nodejs --deployarchive dist/
  fission pkg create --name built --env python --sourcearchive 'src/*' --buildcmd ./build.sh")]
pub(crate) struct CreateArgs {
    /// Name of the package; made from the file when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Environment it is built and run in
    #[arg(long)]
    pub(crate) env: String,
    #[command(flatten)]
    pub(crate) sources: SourceFlags,
    #[command(flatten)]
    pub(crate) labels: LabelFlags,
    #[command(flatten)]
    pub(crate) to: SpecFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: CreateArgs, s: &mut Session) -> Outcome {
    if args.sources.is_empty() {
        return Err(no_code());
    }
    let format = args.output.output;
    let name = match args.name {
        Some(name) => name,
        None if args.to.spec => return Err(Failure::new("--name is required with --spec")),
        None => {
            let name = name_for(args.sources.first_input());
            s.warn(format, format_args!("--name is not given; the package is called '{name}'"))?;
            name
        }
    };
    let draft = Draft {
        name: name.clone(),
        env: args.env,
        buildcmd: args.sources.buildcmd.clone(),
        sources: args.sources,
        labels: args.labels,
    };
    if args.to.is_local() {
        let documents = draft.documents(s).await?;
        return save::documents(s, args.to, &format!("package-{name}.yaml"), &documents).await;
    }
    noun::get::<Environment>(s, &draft.env).await?;
    let opened = draft.sources.open(&s.io)?;
    let created = draft.create(s, &opened).await?;
    output::done(s, format, &created, format_args!("Package '{name}' created"))?;
    follow::suggest(&created, format, s);
    Ok(())
}

/// A package as flags describe it.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) env: String,
    pub(crate) sources: SourceFlags,
    pub(crate) buildcmd: Option<String>,
    pub(crate) labels: LabelFlags,
}

impl Draft {
    /// Stores the archives and creates the package.
    pub(crate) async fn create(&self, s: &mut Session, opened: &Opened) -> Outcome<Package> {
        let package = self.object(Some(s.namespace.clone()), Archive::default(), Archive::default())?;
        noun::check(&package)?; // before a large archive is uploaded for nothing
        let (source, deployment) = (opened.source(s).await?, opened.deployment(s).await?);
        let package =
            self.object(Some(s.namespace.clone()), source.unwrap_or_default(), deployment.unwrap_or_default())?;
        noun::create(s, &package).await
    }

    /// What describes the package in files: its archives, then itself.
    pub(crate) async fn documents(&self, s: &mut Session) -> Outcome<Vec<Document>> {
        let opened = self.sources.open(&s.io)?;
        let (source, deployment) = opened.remote().await?;
        let mut documents = Vec::new();
        let mut local = |inputs: &[String]| {
            let upload = save::archive(inputs);
            let archive =
                Archive { kind: "url".to_owned(), url: format!("archive://{}", upload.name), ..Archive::default() };
            documents.push(upload);
            archive
        };
        let code: Vec<String> = self.sources.code.iter().cloned().collect();
        let deploy = if code.is_empty() { &self.sources.deployarchive } else { &code };
        let source = match source {
            None if !self.sources.sourcearchive.is_empty() => local(&self.sources.sourcearchive),
            source => source.unwrap_or_default(),
        };
        let deployment = match deployment {
            None if !deploy.is_empty() => local(deploy),
            deployment => deployment.unwrap_or_default(),
        };
        let package = self.object(s.namespace_in_files(), source, deployment)?;
        noun::check(&package)?;
        documents.push(save::document(&package)?);
        Ok(documents)
    }

    fn object(&self, namespace: Option<String>, source: Archive, deployment: Archive) -> Outcome<Package> {
        let environment =
            EnvironmentReference { namespace: namespace.clone().unwrap_or_default(), name: self.env.clone() };
        let buildcmd = self.buildcmd.clone().unwrap_or_default();
        let mut package = Package::new(&self.name, PackageSpec { environment, source, deployment, buildcmd });
        package.metadata = metadata(&self.name, namespace);
        self.labels.apply(&mut package.metadata)?;
        Ok(package)
    }
}

/// `<file>-<4 characters>`, or a UUID when there is no file to speak of.
fn name_for(input: Option<&str>) -> String {
    let file = input.and_then(|input| input.rsplit('/').find(|part| !part.is_empty())).unwrap_or_default();
    let word = as_name(file);
    let unique = uuid::Uuid::new_v4().to_string();
    if word.is_empty() { unique } else { format!("{word}-{}", &unique[..4]) }
}

/// Text made into a name: lower case, dashes for what is not allowed, short enough to get a suffix.
pub(crate) fn as_name(text: &str) -> String {
    let mut name: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(MAX_NAME - 10)
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name.trim_matches('-').to_owned()
}
