//! `fission support`: everything needed to understand a problem, in one archive.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kube::Api;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use crate::check;
use crate::code::bundle;
use crate::failure::{Doing, Outcome};
use crate::output::Format;
use crate::session::Session;
use crate::yaml;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum SupportVerb {
    Dump(DumpArgs),
}

/// Write every object and the state of the platform to an archive, without secrets
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission support dump
  fission support dump --nozip --output /tmp/dump")]
pub(crate) struct DumpArgs {
    /// Leave a folder instead of a zip
    #[arg(long)]
    pub(crate) nozip: bool,
    /// Where it is written
    #[arg(long, short, default_value = "fission-dump", value_name = "DIR")]
    pub(crate) output: String,
}

/// Core kinds that tell something; secrets are never among them.
const CORE_KINDS: [&str; 2] = ["Pod", "Event"];

impl SupportVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        let Self::Dump(args) = self;
        let dir = s.io.path(&args.output);
        s.client().await?;
        write(&dir, "version.yaml", &yaml::text_of(&serde_json::json!({ "client": crate::version::build() }))?)?;
        let check = check::findings(s).await;
        write(&dir, "check.txt", &check.text())?;
        if let Ok(Some(report)) = check::report(s).await {
            write(&dir, "status.yaml", &yaml::text_of(&report)?)?;
        }
        let ours = fission_api::KINDS.iter().map(|info| {
            let kind = GroupVersionKind::gvk(fission_api::GROUP, fission_api::VERSION, info.kind);
            ApiResource::from_gvk_with_plural(&kind, info.plural)
        });
        let core = CORE_KINDS.iter().map(|kind| ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind)));
        for resource in ours.chain(core) {
            if let Err(failure) = dump(s, &dir, &resource).await {
                s.warn(Format::Text, format_args!("{} left out: {failure}", resource.plural))?;
            }
        }
        if args.nozip {
            return s.io.say(format_args!("The dump is in {}", args.output));
        }
        let name = format!("{}_{}.zip", args.output, jiff::Timestamp::now().as_second());
        let files = bundle::collect(&dir, &[".".to_owned()], &[])?;
        let out = fs::File::create(s.io.path(&name)).doing(format_args!("cannot create {name}"))?;
        bundle::write_zip(&files, out)?;
        fs::remove_dir_all(&dir).doing(format_args!("cannot remove {}", dir.display()))?;
        s.io.say(format_args!("The dump is in {name}"))
    }
}

async fn dump(s: &mut Session, dir: &Path, resource: &ApiResource) -> Outcome {
    let api: Api<DynamicObject> = Api::all_with(s.client().await?, resource);
    let doing = format!("cannot list {}", resource.plural);
    let listed = api.list(&ListParams::default()).await;
    for object in listed.map_err(|error| crate::noun::explain(s, &doing, error))?.items {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let name = object.metadata.name.clone().unwrap_or_default();
        let mut value = serde_json::to_value(&object).doing(&doing)?;
        hide_code(&mut value["spec"]);
        let folder: PathBuf = dir.join(&resource.plural);
        write(&folder, &format!("{namespace}_{name}.yaml"), &yaml::text_of(&value)?)?;
    }
    Ok(())
}

/// Code is the user's own and may be large; its size is enough.
fn hide_code(spec: &mut Value) {
    for archive in ["source", "deployment"] {
        if let Some(literal) = spec.pointer_mut(&format!("/{archive}/literal")) {
            let size = literal.as_str().map_or(0, str::len) * 3 / 4;
            *literal = Value::String(format!("<{size} bytes left out>"));
        }
    }
}

fn write(dir: &Path, name: &str, text: &str) -> Outcome {
    fs::create_dir_all(dir).doing(format_args!("cannot create {}", dir.display()))?;
    fs::write(dir.join(name), text).doing(format_args!("cannot write {}", dir.join(name).display()))
}
