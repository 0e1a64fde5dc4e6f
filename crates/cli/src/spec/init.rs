//! `fission spec init`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::files::{CONFIG_FILE, DEFAULT_DIR};
use crate::failure::{Doing, Failure, Outcome};
use crate::package::create::as_name;
use crate::session::Session;
use crate::yaml;

/// What a newcomer finds in the directory.
const README: &str = "This directory holds Fission objects as YAML files.

  fission spec validate    check the files
  fission spec apply       make the server have what they say (--watch: again on every change)
  fission spec list        what the server has of them
  fission spec destroy     delete it all

`fission-deployment-config.yaml` gives the directory its uid: applied objects carry it, and only objects that carry it are
changed or deleted. Add files with `fission <env|function|route|...> create ... --spec`.
";

/// Make a spec directory
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission spec init
  fission spec init --name shop --specdir deploy/specs")]
pub(crate) struct InitArgs {
    /// Name of the deployment; the current folder's when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Uid of the deployment; a random one when not given
    #[arg(long, visible_alias = "id", value_name = "UID")]
    pub(crate) deployid: Option<String>,
    /// The directory
    #[arg(long, default_value = DEFAULT_DIR, value_name = "DIR")]
    pub(crate) specdir: String,
}

pub(super) fn run(args: InitArgs, s: &mut Session) -> Outcome {
    let dir = s.io.path(&args.specdir);
    let config = dir.join(CONFIG_FILE);
    if config.exists() {
        return Err(Failure::new(format_args!("{} exists already", config.display()))
            .hint("it is a spec directory; add objects with --spec, or remove that file to start anew"));
    }
    let folder = fs::canonicalize(&s.io.dir).unwrap_or_else(|_| s.io.dir.clone());
    let folder = folder.file_name().map(|name| as_name(&name.to_string_lossy())).unwrap_or_default();
    let name = args.name.unwrap_or(if folder.is_empty() { "fission".to_owned() } else { folder });
    let uid = args.deployid.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    s.io.say(format_args!("Creating fission spec directory '{}'", args.specdir))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .doing(format_args!("cannot create {}", dir.display()))?;
    let text = yaml::text_of(&json!({
        "apiVersion": "fission.io/v1", "kind": "DeploymentConfig", "name": name, "uid": uid,
    }))?;
    write(&dir.join("README"), README)?;
    write(
        &config,
        &format!("# Owns the objects of this directory. Keep the uid: without it they cannot be changed.\n{text}"),
    )?;
    s.io.suggest("fission env create --name nodejs --image fission/node-env --spec");
    Ok(())
}

fn write(path: &Path, text: &str) -> Outcome {
    let doing = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).doing(doing())?;
    file.write_all(text.as_bytes()).doing(doing())
}
