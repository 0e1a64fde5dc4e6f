//! `--spec` and `--dry` of every `create`: objects as documents of a file, or on standard output.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::files::{CONFIG_FILE, DEFAULT_DIR, Specs};
use crate::code::payload::hex;
use crate::failure::{Doing, Failure, Outcome};
use crate::flags::SpecFlags;
use crate::noun::Noun;
use crate::package::create::as_name;
use crate::session::Session;
use crate::yaml;

/// One object as a document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// An object without what only the server knows.
pub(crate) fn document<K: Noun>(object: &K) -> Outcome<Document> {
    let mut value = serde_json::to_value(object).doing("cannot write YAML")?;
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    Ok(Document {
        kind: K::kind(&()).into_owned(),
        namespace: object.meta().namespace.clone().unwrap_or_default(),
        name: object.meta().name.clone().unwrap_or_default(),
        value,
    })
}

/// Files to be archived when the specs are applied. The same inputs always make the same archive.
pub(crate) fn archive(inputs: &[String]) -> Document {
    let word = as_name(inputs.first().map_or("", |input| input.rsplit('/').next().unwrap_or(input)));
    let tag = hex(digest(&SHA256, inputs.join("\n").as_bytes()).as_ref());
    let name = format!("{word}-{}", &tag[..4]).trim_start_matches('-').to_owned();
    let value = json!({ "kind": "ArchiveUploadSpec", "name": name, "include": inputs });
    Document { kind: "ArchiveUploadSpec".to_owned(), namespace: String::new(), name, value }
}

/// Prints the documents (`--dry`) or appends them to a file below `./specs` (`--spec`).
pub(crate) async fn documents(s: &mut Session, to: SpecFlags, file: &str, documents: &[Document]) -> Outcome {
    if to.dry {
        for (index, document) in documents.iter().enumerate() {
            let text = yaml::text_of(&document.value)?;
            s.io.write(format_args!("{}{text}", if index > 0 { "---\n" } else { "" }))?;
        }
        return Ok(());
    }
    let dir = s.io.path(DEFAULT_DIR);
    if !dir.join(CONFIG_FILE).exists() {
        return Err(Failure::new(format_args!("there is no {DEFAULT_DIR}/{CONFIG_FILE} here"))
            .hint("make a spec directory first with: fission spec init"));
    }
    let there = Specs::read(&dir, None)?;
    for document in documents {
        match there.find(&document.kind, &document.namespace, &document.name) {
            // Two packages may be made from the same files.
            Some(_) if document.kind == "ArchiveUploadSpec" => continue,
            Some(place) => {
                return Err(Failure::new(format_args!(
                    "{} '{}' is already in the specs: {place}",
                    document.kind, document.name
                ))
                .hint("change that file, then run: fission spec apply"));
            }
            None => append(&dir.join(file), document)?,
        }
        let shown = match document.namespace.as_str() {
            "" => document.name.clone(),
            namespace => format!("{namespace}/{}", document.name),
        };
        s.io.say(format_args!("Saving {} '{shown}' to '{DEFAULT_DIR}/{file}'", document.kind))?;
    }
    s.io.suggest("fission spec apply");
    Ok(())
}

fn append(path: &Path, document: &Document) -> Outcome {
    let doing = || format!("cannot write {}", path.display());
    let marker = if fs::metadata(path).is_ok_and(|meta| meta.len() > 0) { "---\n" } else { "" };
    let text = format!("{marker}{}", yaml::text_of(&document.value)?);
    let mut file = OpenOptions::new().create(true).append(true).open(path).doing(doing())?;
    file.write_all(text.as_bytes()).doing(doing())
}
