//! The folder of an export, written beside its place and moved there when it is complete.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Exported;
use super::archives::Fetched;
use crate::failure::{Doing, Failure, Outcome};
use crate::package::create::as_name;
use crate::session::Session;
use crate::spec::files::CONFIG_FILE;
use crate::yaml;

/// Folder of large archives.
const ARCHIVES: &str = "archives";
/// Folder of what only `fission spec apply` understands.
const SPEC: &str = "spec";
/// Folder of what happened: applied, it would happen again.
const HISTORY: &str = "history";

/// A folder that is not there yet.
pub(super) struct Draft {
    temporary: TempDir,
    place: PathBuf,
}

impl Draft {
    /// Refuses a place that is taken, before anything is fetched.
    pub(super) fn new(place: &Path) -> Outcome<Self> {
        let doing = format!("cannot export to {}", place.display());
        match fs::read_dir(place).map(Iterator::count) {
            Ok(files) if files > 0 => {
                return Err(Failure::new(format_args!("{doing}: there are files in it"))
                    .hint("name another folder with --dir, or remove this one"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::new(format_args!("{doing}: {error}"))),
        }
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).doing(&doing)?;
        let mut temporary = tempfile::Builder::new();
        temporary.prefix(".fission-export-").permissions(fs::Permissions::from_mode(0o700));
        let temporary = temporary.tempdir_in(parent).doing(&doing)?;
        Ok(Self { temporary, place: place.to_owned() })
    }

    /// Adds a large archive.
    pub(super) fn archive(&self, file: &str, bytes: &[u8]) -> Outcome {
        self.file(ARCHIVES, file, bytes)
    }

    /// Adds all objects, and what `spec apply` needs besides.
    pub(super) fn write(
        &self,
        objects: &[Exported],
        fetched: &[Fetched],
        all_namespaces: bool,
        s: &mut Session,
    ) -> Outcome {
        let name = self.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for object in objects {
            let folder = match object.kind.as_str() {
                _ if object.only_spec_apply => SPEC,
                "WorkflowRun" => HISTORY,
                _ => "",
            };
            let kind = object.kind.to_lowercase();
            // A namespace has no dots, so that two objects never share a file.
            let file = match all_namespaces && !object.namespace.is_empty() {
                true => format!("{kind}-{}.{}.yaml", object.namespace, object.name),
                false => format!("{kind}-{}.yaml", object.name),
            };
            self.documents(folder, &file, std::slice::from_ref(&object.value))?;
        }
        let config = json!({
            "apiVersion": "fission.io/v1", "kind": "DeploymentConfig",
            "name": as_name(&name), "uid": uuid::Uuid::new_v4().to_string(),
        });
        self.documents(SPEC, CONFIG_FILE, &[config])?;
        let uploads: Vec<Value> = fetched
            .iter()
            .map(|archive| {
                let file = format!("{name}/{ARCHIVES}/{}", archive.file);
                json!({ "kind": "ArchiveUploadSpec", "name": archive.name, "include": [file] })
            })
            .collect();
        if !uploads.is_empty() {
            self.documents(SPEC, "archives.yaml", &uploads)?;
        }
        let from = match all_namespaces {
            true => format!("all namespaces of {}", s.server()),
            false => format!("namespace {} of {}", s.namespace, s.server()),
        };
        self.file("", "README", readme(&name, &from).as_bytes())
    }

    fn documents(&self, folder: &str, file: &str, values: &[Value]) -> Outcome {
        let texts = values.iter().map(yaml::text_of).collect::<Outcome<Vec<String>>>()?;
        self.file(folder, file, texts.join("---\n").as_bytes())
    }

    /// For the owner only, as there may be secrets and code in it.
    fn file(&self, folder: &str, file: &str, bytes: &[u8]) -> Outcome {
        let folder = self.temporary.path().join(folder);
        let path = folder.join(file);
        let doing = format!("cannot write {}", self.place.join(file).display());
        fs::create_dir_all(&folder).doing(&doing)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).doing(&doing)?;
        file.write_all(bytes).doing(&doing)
    }

    /// Moves it to its place.
    pub(super) fn finish(self) -> Outcome {
        let doing = format!("cannot export to {}", self.place.display());
        if self.place.exists() {
            fs::remove_dir(&self.place).doing(&doing)?;
        }
        fs::rename(self.temporary.path(), &self.place).doing(&doing)?;
        let _ = self.temporary.keep(); // it is no longer there to be removed
        Ok(())
    }
}

fn readme(name: &str, from: &str) -> String {
    format!(
        "Fission objects, exported from {from}.

  fission spec apply --specdir {name}    make another platform have them, archives included
  kubectl apply -f {name}                the same without what is in {SPEC}: packages with large archives

{ARCHIVES}   archives of 256 KiB and more; {SPEC}/archives.yaml names them by the name of this folder: keep it, or change both
{SPEC}       what only `fission spec apply` understands, with the uid that owns what it applies
{HISTORY}    runs of workflows: applied, they would run again

Namespaces must be there first, or --force-namespace puts everything into one.
Secrets and ConfigMaps are here only if --with-secrets was given; `fission spec apply` leaves them to kubectl.
"
    )
}
