//! Rules of packages, one test each.

use serde_json::json;

use crate::rules::cases::{accepted_spec, changed, problems, refused_spec};

const KIND: &str = "Package";

/// Base64 of this many zero bytes, which must be a multiple of three.
fn zeros(bytes: usize) -> String {
    "A".repeat(bytes / 3 * 4)
}

#[test]
fn the_environment_is_in_the_packages_namespace() {
    let detail = "must be empty or \"here\": references never cross namespaces";
    let problem = format!("spec.environment.namespace: Invalid value: \"there\": {detail}");
    refused_spec(KIND, json!({ "environment": { "namespace": "there" } }), &problem);
}

#[test]
fn an_archive_has_one_payload() {
    let problem = "spec.deployment: Forbidden: only one of literal, url and oci may be set";
    refused_spec(KIND, json!({ "deployment": { "literal": "YQ==", "url": "http://x" } }), problem);
    refused_spec(KIND, json!({ "deployment": { "url": "http://x", "oci": { "image": "i" } } }), problem);
}

#[test]
fn a_literal_is_at_most_256_kib() {
    accepted_spec(KIND, json!({ "deployment": { "literal": zeros(262_143) } }));
    let detail = "must be at most 262144 bytes, is 262146; upload it as an archive instead";
    let problem = format!("spec.deployment.literal: Too long: {detail}");
    refused_spec(KIND, json!({ "deployment": { "literal": zeros(262_146) } }), &problem);
}

#[test]
fn a_literal_is_base64() {
    refused_spec(
        KIND,
        json!({ "source": { "literal": "not base64!" } }),
        "spec.source.literal: Invalid value: \"not base64!\": must be base64",
    );
}

#[test]
fn an_archive_type_is_informational_but_known() {
    accepted_spec(KIND, json!({ "deployment": { "type": "url", "literal": "YQ==" } }));
    let problem = "spec.source.type: Unsupported value: \"git\": supported values: \"\", \"literal\", \"url\", \"oci\"";
    refused_spec(KIND, json!({ "source": { "type": "git" } }), problem);
}

#[test]
fn a_checksum_is_sha256() {
    accepted_spec(KIND, json!({ "deployment": { "checksum": { "type": "sha256", "sum": "a".repeat(64) } } }));
    accepted_spec(KIND, json!({ "deployment": { "checksum": { "type": "", "sum": "" } } }));
    let problem = "spec.deployment.checksum.type: Unsupported value: \"md5\": supported values: \"sha256\"";
    refused_spec(KIND, json!({ "deployment": { "checksum": { "type": "md5", "sum": "aa" } } }), problem);
    let problem = "spec.deployment.checksum.sum: Invalid value: \"aa\": must be 64 hex digits";
    refused_spec(KIND, json!({ "deployment": { "checksum": { "type": "sha256", "sum": "aa" } } }), problem);
}

#[test]
fn a_builder_reads_no_images() {
    let problem = "spec.source.oci: Forbidden: a builder cannot read an image; use literal or url";
    refused_spec(KIND, json!({ "source": { "oci": { "image": "i" } } }), problem);
}

#[test]
fn an_image_is_named_and_pinned_once() {
    let digest = format!("sha256:{}", "0".repeat(64));
    accepted_spec(KIND, json!({ "deployment": { "oci": { "image": "i", "digest": digest } } }));
    let problem = "spec.deployment.oci.digest: Forbidden: the image already carries a digest; give one of the two";
    refused_spec(KIND, json!({ "deployment": { "oci": { "image": "i@sha256:1", "digest": digest } } }), problem);
    let problem = "spec.deployment.oci.image: Required value: may not be empty";
    refused_spec(KIND, json!({ "deployment": { "oci": { "image": "" } } }), problem);
}

#[test]
fn a_directory_in_an_image_stays_inside_it() {
    let problem = "spec.deployment.oci.subPath: Invalid value: \"../x\": may not contain '..'";
    refused_spec(KIND, json!({ "deployment": { "oci": { "image": "i", "subPath": "../x" } } }), problem);
}

#[test]
fn a_build_command_needs_no_shell() {
    accepted_spec(KIND, json!({ "buildcmd": "./build.sh --fast \"not a quote\"" }));
    let detail = "has '&', which only a shell understands, and none runs it; put the commands into a script in the \
                  source and name it: --buildcmd ./build.sh";
    let problem = format!("spec.buildcmd: Invalid value: \"make && make install\": {detail}");
    refused_spec(KIND, json!({ "buildcmd": "make && make install" }), &problem);
}

#[test]
fn a_stored_package_with_such_a_command_can_still_be_told_that_it_failed() {
    let stored = changed(KIND, &json!({ "spec": { "buildcmd": "a | b" } }));
    assert_eq!(problems(&stored, Some(&stored)), [""; 0]);
    let other = changed(KIND, &json!({ "spec": { "buildcmd": "a; b" } }));
    assert_eq!(problems(&other, Some(&stored)).len(), 1);
}
