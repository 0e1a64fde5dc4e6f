//! `archive://` references of packages, resolved: inline when small, uploaded when large and not there already.

use std::collections::HashMap;
use std::path::Path;

use fission_api::Archive;
use kube::core::DynamicObject;
use serde_json::Value;

use super::files::{ArchiveUploadSpec, Specs};
use crate::code::bundle;
use crate::code::payload::Payload;
use crate::failure::{Doing, Failure, Outcome};
use crate::session::Session;

/// What an `archive://` address starts with.
pub(super) const SCHEME: &str = "archive://";

/// The archive a package field refers to.
pub(super) fn reference(archive: &Value) -> Option<&str> {
    archive["url"].as_str()?.strip_prefix(SCHEME)
}

/// Replaces every reference of the packages. `live` are the packages of the server, whose archives are not sent again.
pub(super) async fn resolve(specs: &mut Specs, live: &[DynamicObject], dry: bool, s: &mut Session) -> Outcome {
    let mut made: HashMap<String, Archive> = HashMap::new();
    let mut items = std::mem::take(&mut specs.items);
    for item in items.iter_mut().filter(|item| item.kind == "Package") {
        for field in ["source", "deployment"] {
            let Some(name) = reference(&item.value["spec"][field]).map(str::to_owned) else { continue };
            let archive = match made.get(&name) {
                Some(archive) => archive.clone(),
                None => {
                    let spec = specs.archives.iter().map(|(spec, _)| spec).find(|spec| spec.name == name);
                    let spec = spec.ok_or_else(|| {
                        Failure::new(format_args!("{}: archive {SCHEME}{name} is not defined", item.place))
                    })?;
                    let archive = one(spec, &specs.root, live, dry, s).await?;
                    made.insert(name, archive.clone());
                    archive
                }
            };
            item.value["spec"][field] = serde_json::to_value(archive).doing("cannot write an archive")?;
        }
    }
    specs.items = items;
    Ok(())
}

async fn one(
    spec: &ArchiveUploadSpec,
    root: &Path,
    live: &[DynamicObject],
    dry: bool,
    s: &mut Session,
) -> Outcome<Archive> {
    let name = &spec.name;
    let payload = payload(spec, root).map_err(|failure| failure.while_doing(format_args!("archive {name}")))?;
    if payload.is_small() {
        return payload.inline();
    }
    let same = |archive: &Value| archive["checksum"]["sum"] == payload.sha256.as_str() && archive["url"].is_string();
    let there = live.iter().flat_map(|package| [&package.data["spec"]["source"], &package.data["spec"]["deployment"]]);
    if let Some(there) = there.into_iter().find(|archive| same(archive)) {
        s.io.say(format_args!("archive {SCHEME}{name} exists, not uploading"))?;
        return serde_json::from_value(there.clone()).doing("cannot read an archive");
    }
    if dry {
        s.io.say(format_args!("would upload archive {SCHEME}{name}"))?;
        return Ok(Archive {
            kind: "url".to_owned(),
            url: format!("{SCHEME}{name}"),
            checksum: payload.checksum(),
            ..Archive::default()
        });
    }
    s.io.say(format_args!("uploading archive {SCHEME}{name}"))?;
    payload.upload(s).await
}

/// One file as it is; several, or a folder, as a zip.
pub(super) fn payload(spec: &ArchiveUploadSpec, root: &Path) -> Outcome<Payload> {
    if spec.include.is_empty() {
        return Err(Failure::new("include is empty: name at least one file or pattern"));
    }
    let root = root.join(&spec.rootdir);
    let files = bundle::collect(&root, &spec.include, &spec.exclude)?;
    match (&spec.include[..], files.values().next()) {
        ([_], Some(only)) if files.len() == 1 && !root.join(&spec.include[0]).is_dir() => {
            Payload::of_file(only.clone())
        }
        (_, Some(_)) => Payload::of_files(&files),
        (_, None) => Err(Failure::new("everything included is excluded again")),
    }
}
