//! How a client wants its answer.

use http::{HeaderMap, StatusCode, header};

use super::query::Query;
use crate::status::ApiError;
use crate::table::Include;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
    /// As a table of printed columns.
    Table(Include),
    /// Only metadata.
    Metadata,
}

/// What one entry of an `Accept` header asks for.
struct Wanted<'a> {
    media: &'a str,
    kind: &'a str,
    version: &'a str,
}

fn entries(headers: &HeaderMap) -> impl Iterator<Item = Wanted<'_>> {
    let given = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let mut wanted = Wanted { media: parts.next().unwrap_or(""), kind: "", version: "" };
        for part in parts {
            match part.split_once('=') {
                Some(("as", kind)) => wanted.kind = kind,
                Some(("v", version)) => wanted.version = version,
                _ => {}
            }
        }
        wanted
    })
}

impl Format {
    /// The first way of writing that both sides know.
    pub(crate) fn negotiate(headers: &HeaderMap, query: &Query) -> Result<Self, ApiError> {
        let include = match query.get("includeObject") {
            Some("None") => Include::None,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        };
        let mut any = false;
        for wanted in entries(headers) {
            any = true;
            let json = matches!(wanted.media, "application/json" | "*/*" | "application/*");
            match (wanted.media, wanted.kind) {
                (_, "") if json => return Ok(Self::Json),
                ("application/yaml", "") => return Ok(Self::Yaml),
                (_, "Table") if json && wanted.version == "v1" => return Ok(Self::Table(include)),
                (_, "PartialObjectMetadata" | "PartialObjectMetadataList") if json && wanted.version == "v1" => {
                    return Ok(Self::Metadata);
                }
                _ => {}
            }
        }
        if any { Err(not_acceptable()) } else { Ok(Self::Json) }
    }
}

/// Whether a client can take aggregated discovery.
pub(crate) fn wants_aggregated(headers: &HeaderMap) -> Option<&'static str> {
    entries(headers).find_map(|wanted| match (wanted.kind, wanted.version) {
        ("APIGroupDiscoveryList", "v2") => Some("v2"),
        ("APIGroupDiscoveryList", "v2beta1") => Some("v2beta1"),
        _ => None,
    })
}

/// 406, naming what is spoken here.
pub(crate) fn not_acceptable() -> ApiError {
    ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    )
}

/// Whether errors are better written as YAML.
pub(crate) fn errors_as_yaml(headers: &HeaderMap) -> bool {
    entries(headers).next().is_some_and(|wanted| wanted.media == "application/yaml")
}
