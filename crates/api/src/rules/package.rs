//! Rules of `Package`.

use super::names::check_optional_label;
use super::{NameRule, Rules, check_own_namespace};
use crate::crd::FieldDefault;
use crate::field_error::Found;
use crate::package::{Archive, OciArchive};
use crate::{MAX_LITERAL_BYTES, Package};

/// Hex digits of a SHA-256 digest.
const SHA256_HEX: usize = 64;
/// Characters with a meaning to a shell. There is no shell: a command that needs one would not do what it says.
const SHELL: [char; 12] = ['`', ';', '|', '&', '$', '(', ')', '<', '>', '\n', '\r', '\0'];

impl Rules for Package {
    const KIND: &'static str = "Package";
    const NAME: NameRule = NameRule::Label;
    const DEFAULTS: &'static [FieldDefault] = &[
        ("status.buildstatus", "\"pending\""),
        ("spec.source.oci.imagePullSecrets[].name", "\"\""),
        ("spec.deployment.oci.imagePullSecrets[].name", "\"\""),
    ];

    fn check(&self, old: Option<&Self>, found: &mut Found) {
        let environment = &self.spec.environment;
        check_own_namespace("spec.environment.namespace", &environment.namespace, &self.metadata, found);
        check_optional_label("spec.environment.name", &environment.name, found);
        check_archive("spec.source", &self.spec.source, found);
        check_archive("spec.deployment", &self.spec.deployment, found);
        if self.spec.source.oci.is_some() {
            found.forbidden("spec.source.oci", "a builder cannot read an image; use literal or url");
        }
        // What is stored already stays writable: its status says that it cannot be built.
        let buildcmd = &self.spec.buildcmd;
        let changed = old.is_none_or(|old| old.spec.buildcmd != *buildcmd);
        if let Some(problem) = build_command_problem(buildcmd).filter(|_| changed) {
            found.invalid("spec.buildcmd", buildcmd, problem);
        }
    }
}

/// Why a command cannot build a package, if it cannot: it has a character that only a shell understands. The sentence
/// follows the command itself.
pub fn build_command_problem(command: &str) -> Option<String> {
    let sign = command.chars().find(|sign| SHELL.contains(sign))?;
    Some(format!(
        "has {sign:?}, which only a shell understands, and none runs it; put the commands into a script in the source \
         and name it: --buildcmd ./build.sh"
    ))
}

fn check_archive(path: &str, archive: &Archive, found: &mut Found) {
    let literal = archive.literal.as_ref().map_or(0, |bytes| bytes.0.len());
    let payloads = [literal > 0, !archive.url.is_empty(), archive.oci.is_some()];
    if payloads.into_iter().filter(|set| *set).count() > 1 {
        found.forbidden(path, "only one of literal, url and oci may be set");
    }
    if literal > MAX_LITERAL_BYTES {
        let detail =
            format!("must be at most {MAX_LITERAL_BYTES} bytes, is {literal}; upload it as an archive instead");
        found.too_long(format!("{path}.literal"), detail);
    }
    let (kind, sum) = (&archive.checksum.kind, &archive.checksum.sum);
    if (!kind.is_empty() || !sum.is_empty()) && kind != "sha256" {
        found.not_supported(format!("{path}.checksum.type"), kind, &["sha256"]);
    } else if kind == "sha256" && (sum.len() != SHA256_HEX || !sum.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        found.invalid(format!("{path}.checksum.sum"), sum, format!("must be {SHA256_HEX} hex digits"));
    }
    if let Some(oci) = &archive.oci {
        check_oci(&format!("{path}.oci"), oci, found);
    }
}

fn check_oci(path: &str, oci: &OciArchive, found: &mut Found) {
    if oci.image.contains('@') && !oci.digest.is_empty() {
        found.forbidden(format!("{path}.digest"), "the image already carries a digest; give one of the two");
    }
    if !oci.sub_path.is_empty()
        && let Some(problem) = relative_path_problem(&oci.sub_path)
    {
        found.invalid(format!("{path}.subPath"), &oci.sub_path, problem);
    }
}

/// Why `path` is no clean relative path, if it is none.
pub(super) fn relative_path_problem(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        return Some("must be relative");
    }
    if path.contains('\\') {
        return Some("may not contain '\\'");
    }
    if path.split('/').any(|part| part == "..") {
        return Some("may not contain '..'");
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return Some("must be a clean path without empty or '.' parts");
    }
    None
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
