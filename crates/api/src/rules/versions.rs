//! Rules of `FunctionVersion` and `FunctionAlias`.

use super::function::check_spec;
use super::names::{check_label, check_optional_label};
use super::{NameRule, Rules};
use crate::crd::FieldDefault;
use crate::field_error::Found;
use crate::{FunctionAlias, FunctionVersion};

impl Rules for FunctionVersion {
    const KIND: &'static str = "FunctionVersion";
    const NAME: NameRule = NameRule::Label;
    const DEFAULTS: &'static [FieldDefault] =
        &[("spec.snapshot.streaming.protocol", "\"auto\""), ("spec.snapshot.versioning.mode", "\"auto\"")];

    fn check(&self, old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        if old.is_some_and(|old| old.spec != *spec) {
            return found.immutable("spec", &spec.function_name);
        }
        check_label("spec.functionName", &spec.function_name, found);
        for (path, value) in [("spec.functionUID", &spec.function_uid), ("spec.packageDigest", &spec.package_digest)] {
            if value.is_empty() {
                found.required(path, "may not be empty");
            }
        }
        let expected = format!("{}-v{}", spec.function_name, spec.sequence);
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if !name.is_empty() && name != expected {
            found.invalid("metadata.name", name, format!("must be {expected:?}, the function's name and the sequence"));
        }
        check_spec("spec.snapshot", &spec.snapshot, &self.metadata, found);
    }
}

impl Rules for FunctionAlias {
    const KIND: &'static str = "FunctionAlias";
    const NAME: NameRule = NameRule::Label;

    fn check(&self, _old: Option<&Self>, found: &mut Found) {
        let spec = &self.spec;
        check_label("spec.functionName", &spec.function_name, found);
        check_optional_label("spec.version", &spec.version, found);
        check_optional_label("spec.secondaryVersion", &spec.secondary_version, found);
        match (spec.version.is_empty(), spec.package_digest.is_empty()) {
            (true, true) => found.required("spec.version", "give version or packageDigest"),
            (false, false) => {
                found.forbidden("spec.packageDigest", "may not be set together with version; use one of the two");
            }
            _ => {}
        }
        if spec.weight.is_some() && spec.secondary_version.is_empty() {
            found.required("spec.secondaryVersion", "weight needs a version that gets the rest");
        }
        if !spec.secondary_version.is_empty() && spec.secondary_version == spec.version {
            found.invalid("spec.secondaryVersion", &spec.secondary_version, "must differ from version");
        }
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let sequence = name.strip_prefix(spec.function_name.as_str()).and_then(|rest| rest.strip_prefix("-v"));
        if sequence.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())) {
            found.invalid("metadata.name", name, "names of this form belong to the function's versions");
        }
    }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
