//! The `--output` flag: what each format looks like for lists and for single objects.

use std::str::FromStr;

use kube::ResourceExt;
use serde::Serialize;

use crate::failure::{Doing, Outcome};
use crate::noun::Noun;
use crate::session::Session;
use crate::table::{Column, of_objects};

/// How things are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table, or a sentence for created objects.
    #[default]
    Text,
    /// A table with more columns.
    Wide,
    /// JSON, two spaces of indentation; lists are a bare array.
    Json,
    /// YAML; lists are a bare array.
    Yaml,
    /// `<kind>/<name>`, one a line.
    Name,
}

impl Format {
    /// Whether another program reads the output, so that nothing else may be on standard output.
    pub(crate) fn is_for_programs(self) -> bool {
        matches!(self, Format::Json | Format::Yaml | Format::Name)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "" => Ok(Format::Text),
            "wide" => Ok(Format::Wide),
            "json" => Ok(Format::Json),
            "yaml" => Ok(Format::Yaml),
            "name" => Ok(Format::Name),
            _ => Err(format!("invalid output format {text:?}: valid values are wide, json, yaml, name")),
        }
    }
}

/// The flag itself.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct OutputFlag {
    /// Output format: wide, json, yaml or name; a table when not given
    #[arg(long, short, value_name = "FORMAT", default_value = "", hide_default_value = true)]
    pub(crate) output: Format,
}

/// A value as JSON or YAML text.
pub(crate) fn rendered<T: Serialize + ?Sized>(format: Format, value: &T) -> Outcome<String> {
    match format {
        Format::Yaml => crate::yaml::text_of(value),
        _ => serde_json::to_string_pretty(value).map(|text| text + "\n").doing("cannot write JSON"),
    }
}

/// Prints a list in the format asked for.
pub(crate) fn list<K: Noun>(s: &mut Session, format: Format, columns: &[Column<K>], objects: &[K]) -> Outcome {
    match format {
        Format::Text | Format::Wide => s.io.write(of_objects(columns, objects, format == Format::Wide)),
        Format::Json | Format::Yaml => {
            let text = rendered(format, objects)?;
            s.io.write(text)
        }
        Format::Name => objects.iter().try_for_each(|object| s.io.say(short_name(object))),
    }
}

/// Prints one object in the format asked for.
pub(crate) fn one<K: Noun>(s: &mut Session, format: Format, columns: &[Column<K>], object: &K) -> Outcome {
    match format {
        Format::Json | Format::Yaml => {
            let text = rendered(format, object)?;
            s.io.write(text)
        }
        _ => list(s, format, columns, std::slice::from_ref(object)),
    }
}

/// Prints a created or changed object, or `sentence` when no format was asked for.
pub(crate) fn done<K: Noun>(s: &mut Session, format: Format, object: &K, sentence: impl std::fmt::Display) -> Outcome {
    match format {
        Format::Text | Format::Wide => s.io.say(sentence),
        _ => one(s, format, &[], object),
    }
}

fn short_name<K: Noun>(object: &K) -> String {
    format!("{}/{}", K::WORD, object.name_any())
}
