//! The embedded catalog and the image names it answers to.

use super::*;

fn catalog() -> Environments {
    let options = Options::new("/nowhere", OsString::new(), "/bin/fission");
    Environments::new(options).unwrap()
}

#[test]
fn image_names_are_known_with_and_without_registry_and_tag() {
    let catalog = catalog();
    let name = |image: &str| catalog.resolve(image).map(|definition| definition.name.as_str());
    for image in [
        "fission/node-env",
        "ghcr.io/fission/node-env",
        "fission/node-env:1.2",
        "node-env-22",
        "localhost:5000/fission/node-env:latest",
        "fission/node-env@sha256:0123",
    ] {
        assert_eq!(name(image), Some("nodejs"), "{image}");
    }
    assert_eq!(name("ghcr.io/fission/python-env"), Some("python"));
    assert_eq!(name("fission/binary-env"), Some("binary"));
    for image in ["", "fission/", "node", "acme/node-env", "fission/cobol-env", ":1", "fission/node-env/extra"] {
        assert_eq!(name(image), None, "{image}");
    }
}

#[tokio::test]
async fn an_unknown_image_is_refused_with_those_there_are() {
    let error = catalog().prepare("fission/cobol-env", &LogProgress).await.unwrap_err().to_string();
    assert!(error.contains("fission/cobol-env") && error.contains("fission/node-env"), "{error}");
}

#[tokio::test]
async fn the_binary_environment_needs_nothing_but_our_own_executable() {
    let runtime = catalog().prepare("fission/binary-env", &LogProgress).await.unwrap();
    assert_eq!(runtime.argv, ["/bin/fission", "__binary-env"]);
}
