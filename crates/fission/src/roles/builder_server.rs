//! What builder images run: builds what its fetcher puts into the shared directory. The one role that runs in pods of
//! strangers' images and knows of no cluster.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fission_package::build_service::{BuildService, Options};
use fission_rpc::signed::Verifier;
use fission_rpc::signing::Key;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::context::{serve, until_told_to_end};
use crate::config::cluster::{SIDECAR_SECRETS, SidecarSettings, build_timeout};
use crate::status_page::version;

/// Where it listens.
const PORT: u16 = 8001;
/// Largest request: two names.
const MAX_BODY: usize = 1 << 20;
/// The shared directory where none is named.
const SHARED_DIR: &str = "/packages";

/// The role.
pub(super) async fn run() -> Result<()> {
    // Builds run as the same user; they must not read our key from our memory or our variables.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("this process cannot be closed to builds")?;
    let (settings, shutdown) = (SidecarSettings::read()?, until_told_to_end()?);
    let shared_dir = shared_dir(std::env::args());
    let options = Options {
        shared_dir: shared_dir.clone(),
        timeout: build_timeout()?,
        hidden: SIDECAR_SECRETS.iter().map(|name| (*name).to_owned()).collect(),
        version: version().to_owned(),
    };
    let service = BuildService::new(options)
        .with_context(|| format!("the shared directory {} cannot be used", shared_dir.display()))?;
    let mut router = service.http();
    if settings.builder_keys.is_empty() {
        tracing::warn!("FISSION_BUILDER_KEY is not set: requests need no signature");
    } else {
        let keys = settings.builder_keys.iter().map(|key| Key::from_bytes(key)).collect();
        router = Verifier::new(keys, MAX_BODY).protect(router);
    }
    tracing::info!(shared_dir = %shared_dir.display(), port = PORT, "builds what is asked for");
    serve(router, PORT, shutdown).await
}

/// `builder DIR` or `fission builder-server DIR`.
fn shared_dir(mut arguments: impl Iterator<Item = String>) -> PathBuf {
    let program = arguments.next().unwrap_or_default();
    let is_called_builder = PathBuf::from(program).file_name().is_some_and(|name| name == "builder");
    let given = if is_called_builder { arguments.next() } else { arguments.nth(1) };
    given.unwrap_or_else(|| SHARED_DIR.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::shared_dir;

    #[test]
    fn the_directory_comes_after_the_name_the_program_is_called_by() {
        for (line, expected) in [
            ("/builder /packages", "/packages"),
            ("builder /x", "/x"),
            ("fission builder-server /x", "/x"),
            ("/usr/bin/fission builder-server", "/packages"),
            ("/builder", "/packages"),
        ] {
            assert_eq!(shared_dir(line.split(' ').map(str::to_owned)).to_str(), Some(expected), "{line}");
        }
    }
}
