//! `fission export`: a platform as files, for another one.
//!
//! Objects are read ([`collect`]), freed of what only their server knows ([`clean`]), their archives are fetched
//! ([`archives`]), and all of it becomes a folder that appears complete or not at all ([`folder`]).
//!
//! The folder's own YAML files are for `kubectl apply -f` as well as for `fission spec apply`. What only the latter
//! understands is one folder below, where kubectl does not look.

mod archives;
mod clean;
mod collect;
mod folder;
mod references;

use clap::Args;
use serde_json::Value;

use crate::failure::Outcome;
use crate::session::Session;
use crate::yaml;

/// Write every object of a namespace as files that another platform applies
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission export --namespace team --dir team
  fission export --all-namespaces --with-secrets --dir platform
  fission export -o yaml > team.yaml
  fission spec apply --specdir team          # on the other platform: everything
  kubectl apply -f team                      # the same, without packages of 256 KiB and more")]
pub(crate) struct ExportArgs {
    /// Folder to write; it may not exist yet, or must be empty
    #[arg(long, default_value = "fission-export", value_name = "DIR")]
    pub(crate) dir: String,
    /// Export the objects of all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// Export the Secrets and ConfigMaps too that functions refer to; secrets are then readable in the files
    #[arg(long)]
    pub(crate) with_secrets: bool,
    /// Leave archives where they are; packages then name them by the storage service of this platform
    #[arg(long)]
    pub(crate) without_archives: bool,
    /// Print one stream of YAML instead of writing a folder; large archives are then left where they are
    #[arg(long, short, value_name = "FORMAT", value_parser = ["yaml"])]
    pub(crate) output: Option<String>,
}

/// One object, ready to be written.
#[derive(Clone, Debug, PartialEq)]
struct Exported {
    kind: String,
    namespace: String,
    name: String,
    value: Value,
    /// Whether only `fission spec apply` can make it what it was.
    only_spec_apply: bool,
}

pub(crate) async fn run(args: ExportArgs, s: &mut Session) -> Outcome {
    let dir = s.io.path(&args.dir);
    let stream = args.output.is_some();
    let draft = if stream { None } else { Some(folder::Draft::new(&dir)?) };
    let mut objects = collect::objects(s, args.all_namespaces).await?;
    let fetched =
        if args.without_archives { Vec::new() } else { archives::fetch(&mut objects, draft.as_ref(), s).await? };
    let referred = references::of(&objects);
    if args.with_secrets {
        objects.splice(0..0, collect::referred(s, &referred).await?);
    }
    match draft {
        None => print(&objects, s)?,
        Some(draft) => {
            draft.write(&objects, &fetched, args.all_namespaces, s)?;
            draft.finish()?;
            s.io.say(format_args!("{} objects exported to '{}'", objects.len(), args.dir))?;
        }
    }
    remarks(&args, &objects, &referred, s);
    if !stream {
        s.io.suggest(format_args!("fission spec apply --specdir {}", args.dir));
    }
    Ok(())
}

fn print(objects: &[Exported], s: &mut Session) -> Outcome {
    for (index, object) in objects.iter().enumerate() {
        let text = yaml::text_of(&object.value)?;
        s.io.write(format_args!("{}{text}", if index > 0 { "---\n" } else { "" }))?;
    }
    Ok(())
}

/// What whoever applies the files must know, on standard error.
fn remarks(args: &ExportArgs, objects: &[Exported], referred: &[references::Reference], s: &mut Session) {
    let shown = |object: &Exported| match object.namespace.as_str() {
        "" => object.name.clone(),
        namespace => format!("{namespace}/{}", object.name),
    };
    let large: Vec<String> = objects.iter().filter(|object| object.only_spec_apply).map(shown).collect();
    if !large.is_empty() {
        s.io.complain(format_args!(
            "Packages with large archives, which kubectl cannot apply: {}\n  use: fission spec apply --specdir {}",
            large.join(", "),
            args.dir
        ));
    }
    let stay: Vec<String> = objects.iter().filter(|object| archives::stays(object)).map(shown).collect();
    if !stay.is_empty() {
        s.io.complain(format_args!(
            "Packages whose archives stay in the storage of this platform, so that another one cannot read them: {}",
            stay.join(", ")
        ));
    }
    let unmanaged: Vec<&str> =
        ["CanaryConfig", "FunctionVersion", "WorkflowRun", "FissionTenant", "Secret", "ConfigMap"]
            .into_iter()
            .filter(|kind| objects.iter().any(|object| object.kind == *kind))
            .collect();
    if !unmanaged.is_empty() {
        s.io.complain(format_args!("Left alone by fission spec apply, use kubectl apply: {}", unmanaged.join(", ")));
    }
    if !args.with_secrets && !referred.is_empty() {
        let names: Vec<String> = referred.iter().map(ToString::to_string).collect();
        s.io.complain(format_args!("Not exported (--with-secrets adds them): {}", names.join(", ")));
    }
}
