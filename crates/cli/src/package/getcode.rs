//! `fission package getsrc` and `getdeploy`: the bytes of an archive.

use clap::Args;
use fission_api::{Archive, Package};

use crate::code::download;
use crate::failure::{Doing, Failure, Outcome};
use crate::session::Session;
use crate::{noun, storage};

/// Which package, and where its bytes go.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package getsrc --name hello > source.zip
  fission package getdeploy --name hello --output hello.js")]
pub(crate) struct GetArgs {
    /// Name of the package
    #[arg(long)]
    pub(crate) name: String,
    /// File to write; standard output when not given
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

pub(crate) async fn source(args: GetArgs, s: &mut Session) -> Outcome {
    let package: Package = noun::get(s, &args.name).await?;
    let archive = if package.spec.source.is_empty() { &package.spec.deployment } else { &package.spec.source };
    let bytes = archive_bytes(s, &args.name, archive).await?;
    write(args.output, s, &bytes)
}

pub(crate) async fn deployment(args: GetArgs, s: &mut Session) -> Outcome {
    let package: Package = noun::get(s, &args.name).await?;
    let bytes = deployment_bytes(s, &package).await?;
    write(args.output, s, &bytes)
}

/// The bytes instances are given.
pub(crate) async fn deployment_bytes(s: &mut Session, package: &Package) -> Outcome<Vec<u8>> {
    let name = package.metadata.name.as_deref().unwrap_or_default();
    archive_bytes(s, name, &package.spec.deployment).await
}

/// The bytes of one archive, wherever they are.
pub(crate) async fn archive_bytes(s: &mut Session, package: &str, archive: &Archive) -> Outcome<Vec<u8>> {
    if let Some(literal) = archive.literal.as_ref().filter(|literal| !literal.0.is_empty()) {
        return Ok(literal.0.clone());
    }
    if let Some(oci) = &archive.oci {
        return Err(Failure::new(format_args!("the code of package '{package}' is in the image {}", oci.image))
            .hint("pull the image with a container tool to see it"));
    }
    if archive.url.is_empty() {
        return Err(Failure::new(format_args!("package '{package}' has no such archive")));
    }
    if let Some(id) = storage::id_in(&archive.url) {
        return storage::download(s, &id).await.map(|bytes| bytes.to_vec());
    }
    let mut bytes = Vec::new();
    download::each_chunk(&archive.url, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })
    .await?;
    Ok(bytes)
}

fn write(file: Option<String>, s: &mut Session, bytes: &[u8]) -> Outcome {
    match file {
        Some(file) => std::fs::write(s.io.path(&file), bytes).doing(format_args!("cannot write {file}")),
        None => s.io.write_bytes(bytes),
    }
}
