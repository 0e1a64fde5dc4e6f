//! Archives that live in the platform's storage, fetched: small ones into their package, large ones beside it.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fission_api::MAX_LITERAL_BYTES;
use serde_json::{Value, json};

use super::Exported;
use super::folder::Draft;
use crate::code::payload::hex;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::storage;

/// What a zip starts with.
const ZIP: &[u8] = b"PK\x03\x04";

/// A large archive in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    /// What packages call it, after `archive://`.
    pub(super) name: String,
    /// Its file below the folder of archives.
    pub(super) file: String,
}

/// What became of an archive, for packages that share one.
#[derive(Clone, Debug)]
enum Kept {
    Inline(String),
    Beside(String),
}

/// Fetches every archive of the packages and changes the packages accordingly. Without a folder, large ones stay.
pub(super) async fn fetch(objects: &mut [Exported], draft: Option<&Draft>, s: &mut Session) -> Outcome<Vec<Fetched>> {
    let (mut kept, mut fetched): (HashMap<String, Kept>, Vec<Fetched>) = (HashMap::new(), Vec::new());
    for object in objects.iter_mut().filter(|object| object.kind == "Package") {
        for field in ["source", "deployment"] {
            let Some(id) = stored(&object.value["spec"][field]) else { continue };
            if !kept.contains_key(&id) {
                let bytes = download(&id, object, field, s).await?;
                let now = if bytes.len() < MAX_LITERAL_BYTES {
                    Kept::Inline(BASE64_STANDARD.encode(&bytes))
                } else {
                    let Some(draft) = draft else { continue };
                    let name = format!("{}.{}.{field}", object.namespace, object.name);
                    let extension = if bytes.starts_with(ZIP) { "zip" } else { "archive" };
                    let file = format!("{name}.{extension}");
                    draft.archive(&file, &bytes)?;
                    fetched.push(Fetched { name: name.clone(), file });
                    Kept::Beside(name)
                };
                kept.insert(id.clone(), now);
            }
            object.value["spec"][field] = match &kept[&id] {
                Kept::Inline(text) => json!({ "type": "literal", "literal": text }),
                Kept::Beside(name) => {
                    object.only_spec_apply = true;
                    json!({ "type": "url", "url": format!("archive://{name}") })
                }
            };
        }
    }
    Ok(fetched)
}

/// The id of an archive in the platform's storage.
fn stored(archive: &Value) -> Option<String> {
    archive["url"].as_str().and_then(storage::id_in)
}

/// Whether a package names an archive that another platform cannot read.
pub(super) fn stays(object: &Exported) -> bool {
    let spec = &object.value["spec"];
    object.kind == "Package" && ["source", "deployment"].iter().any(|field| stored(&spec[*field]).is_some())
}

async fn download(id: &str, object: &Exported, field: &str, s: &mut Session) -> Outcome<Bytes> {
    let of = format!("{field} archive of package '{}' in namespace '{}'", object.name, object.namespace);
    let bytes = storage::download(s, id).await.map_err(|failure| {
        failure.while_doing(&of).hint("to export without it and all others: fission export --without-archives")
    })?;
    let sum = hex(digest(&SHA256, &bytes).as_ref());
    match object.value["spec"][field]["checksum"]["sum"].as_str().filter(|wanted| !wanted.is_empty()) {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&sum) => {
            Err(Failure::new(format_args!("{of}: its checksum is {sum}, and not {wanted} as the package says"))
                .hint("the archive in the storage is damaged; update the package with its code"))
        }
        _ => Ok(bytes),
    }
}
