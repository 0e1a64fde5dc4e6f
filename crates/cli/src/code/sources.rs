//! The flags that say where code comes from, shared by `package` and `function`.

use clap::Args;
use fission_api::package::{Archive, OciArchive};

use crate::code::bundle;
use crate::code::download::{checksum, is_url};
use crate::code::payload::{Payload, sha256};
use crate::failure::{Failure, Outcome};
use crate::io::Io;
use crate::session::Session;

/// Where code comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SourceFlags {
    /// File or URL with the code, stored as it is
    #[arg(long, value_name = "FILE")]
    pub(crate) code: Option<String>,
    /// Files, folders, patterns or a URL to deploy; zipped unless a single zip. May be repeated
    #[arg(long, visible_alias = "deploy", value_name = "PATH", conflicts_with = "code")]
    pub(crate) deployarchive: Vec<String>,
    /// Files, folders, patterns or a URL to build from; zipped unless a single zip. May be repeated
    #[arg(long, visible_aliases = ["source", "src"], value_name = "PATH")]
    pub(crate) sourcearchive: Vec<String>,
    /// sha256 of what the deployment URL gives
    #[arg(long, value_name = "SHA256")]
    pub(crate) deploychecksum: Option<String>,
    /// sha256 of what the source URL gives
    #[arg(long, value_name = "SHA256")]
    pub(crate) srcchecksum: Option<String>,
    /// Do not compute the checksum of a URL
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Image that holds the code, as repo:tag or repo:tag@sha256:...
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["code", "deployarchive", "sourcearchive"])]
    pub(crate) oci: Option<String>,
    /// Command that builds the source
    #[arg(long, value_name = "COMMAND")]
    pub(crate) buildcmd: Option<String>,
}

/// What becomes of an input.
#[derive(Debug)]
pub(crate) enum Origin {
    Url(String),
    Payload(Payload),
}

impl SourceFlags {
    /// Whether no code is given at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.code.is_none() && self.deployarchive.is_empty() && self.sourcearchive.is_empty() && self.oci.is_none()
    }

    /// The file a package is named after when it has no name.
    pub(crate) fn first_input(&self) -> Option<&str> {
        let all = self.code.iter().chain(&self.deployarchive).chain(&self.sourcearchive);
        all.map(String::as_str).next()
    }

    /// Looks at every input without sending anything: a missing file is noticed before anything is created.
    pub(crate) fn open(&self, io: &Io) -> Outcome<Opened> {
        let deployment = match &self.code {
            Some(code) if is_url(code) => Some(Origin::Url(code.clone())),
            Some(code) => Some(Origin::Payload(Payload::of_file(io.path(code))?)),
            None => origin(io, "--deployarchive", &self.deployarchive)?,
        };
        let source = origin(io, "--sourcearchive", &self.sourcearchive)?;
        let oci = self.oci.as_deref().map(oci_archive).transpose()?;
        Ok(Opened {
            deployment,
            source,
            oci,
            deploychecksum: self.deploychecksum.clone(),
            srcchecksum: self.srcchecksum.clone(),
            insecure: self.insecure,
        })
    }
}

/// Inputs that were found to be readable.
#[derive(Debug)]
pub(crate) struct Opened {
    deployment: Option<Origin>,
    source: Option<Origin>,
    oci: Option<Archive>,
    deploychecksum: Option<String>,
    srcchecksum: Option<String>,
    insecure: bool,
}

impl Opened {
    /// The deployment archive, uploaded if it must be.
    pub(crate) async fn deployment(&self, s: &mut Session) -> Outcome<Option<Archive>> {
        if let Some(oci) = &self.oci {
            return Ok(Some(oci.clone()));
        }
        stored(s, self.deployment.as_ref(), self.deploychecksum.as_deref(), self.insecure).await
    }

    /// The source archive, uploaded if it must be.
    pub(crate) async fn source(&self, s: &mut Session) -> Outcome<Option<Archive>> {
        stored(s, self.source.as_ref(), self.srcchecksum.as_deref(), self.insecure).await
    }

    /// The archives that need no upload, for files: URLs and images.
    pub(crate) async fn remote(&self) -> Outcome<(Option<Archive>, Option<Archive>)> {
        let remote = async |origin: Option<&Origin>, sum: Option<&str>| match origin {
            Some(Origin::Url(url)) => url_archive(url, sum, self.insecure).await.map(Some),
            _ => Ok(None),
        };
        let deployment = match &self.oci {
            Some(oci) => Some(oci.clone()),
            None => remote(self.deployment.as_ref(), self.deploychecksum.as_deref()).await?,
        };
        Ok((remote(self.source.as_ref(), self.srcchecksum.as_deref()).await?, deployment))
    }
}

async fn stored(
    s: &mut Session,
    origin: Option<&Origin>,
    sum: Option<&str>,
    insecure: bool,
) -> Outcome<Option<Archive>> {
    match origin {
        None => Ok(None),
        Some(Origin::Url(url)) => url_archive(url, sum, insecure).await.map(Some),
        Some(Origin::Payload(payload)) => payload.store(s).await.map(Some),
    }
}

/// An archive at a URL. Its checksum is computed by downloading it once, unless given or not wanted.
pub(crate) async fn url_archive(url: &str, sum: Option<&str>, insecure: bool) -> Outcome<Archive> {
    let mut archive = Archive { kind: "url".to_owned(), url: url.to_owned(), ..Archive::default() };
    match sum {
        Some(sum) => archive.checksum = sha256(sum),
        None if insecure => {}
        None => archive.checksum = sha256(&checksum(url).await?),
    }
    Ok(archive)
}

fn origin(io: &Io, flag: &str, inputs: &[String]) -> Outcome<Option<Origin>> {
    let urls = inputs.iter().filter(|input| is_url(input)).count();
    match inputs {
        [] => Ok(None),
        [url] if urls == 1 => Ok(Some(Origin::Url(url.clone()))),
        _ if urls > 0 => Err(Failure::new(format_args!("{flag} takes one URL or any number of files, not both"))),
        inputs => payload(io, inputs).map(|payload| Some(Origin::Payload(payload))),
    }
}

/// One zip as it is; anything else zipped.
fn payload(io: &Io, inputs: &[String]) -> Outcome<Payload> {
    let files = bundle::collect(&io.dir, inputs, &[])?;
    match files.values().next() {
        Some(only) if files.len() == 1 && bundle::is_zip(only)? => Payload::of_file(only.clone()),
        _ => Payload::of_files(&files),
    }
}

/// `repo:tag@sha256:...` is kept as image and digest.
fn oci_archive(image: &str) -> Outcome<Archive> {
    let (image, digest) = image.split_once('@').unwrap_or((image, ""));
    if image.is_empty() {
        return Err(Failure::new("--oci does not name an image"));
    }
    let oci = OciArchive { image: image.to_owned(), digest: digest.to_owned(), ..OciArchive::default() };
    Ok(Archive { kind: "oci".to_owned(), oci: Some(oci), ..Archive::default() })
}

/// Says which flags give code.
pub(crate) fn no_code() -> Failure {
    Failure::new("no code is given: need --code, --sourcearchive, --deployarchive or --oci, or an existing --pkgname")
        .hint("a single file: --code hello.js; a folder: --deployarchive src/")
}
