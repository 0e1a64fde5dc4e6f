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

#[test]
fn an_environment_has_a_server_to_start_or_says_that_it_is_webassembly() {
    let catalog = catalog();
    assert!(catalog.is_wasm("ghcr.io/fission/wasm-env:1") && !catalog.is_wasm("fission/node-env"));
    assert!(is_built_in_wasm("fission/wasm-env") && !is_built_in_wasm("acme/wasm-env"));
    let message = |toml: &str| with(folder(toml).path()).unwrap_err().to_string();
    let nothing = message("summary = \"COBOL\"\nimages = [\"cobol-env\"]\n");
    assert!(nothing.contains("nothing to start"), "{nothing}");
    let both = message(&format!("kind = \"wasm\"\n{COBOL}"));
    assert!(both.contains("no server"), "{both}");
}

#[test]
fn builders_answer_to_their_own_images_and_to_those_of_their_runtime() {
    let catalog = catalog();
    let name = |image: &str| catalog.resolve_builder(image).map(|definition| definition.name.as_str());
    assert_eq!(name("ghcr.io/fission/node-builder:latest"), Some("nodejs"));
    assert_eq!(name("fission/node-env"), Some("nodejs"));
    assert_eq!(name("acme/node-builder"), None);
    assert!(catalog.resolve("fission/node-builder").is_none(), "a builder runs no functions");
}

/// A folder of environments with one in it.
fn folder(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cobol")).unwrap();
    std::fs::write(folder.path().join("cobol/environment.toml"), toml).unwrap();
    std::fs::write(folder.path().join("cobol/server"), "the server").unwrap();
    folder
}

const COBOL: &str = r#"
summary = "COBOL"
images = ["cobol-env", "node-env"]
files = ["server"]
shared = ["python/load.py"]
start = { argv = ["{home}/server"], listen = "tcp" }
"#;

fn with(folder: &Path) -> Result<Environments, DefinitionError> {
    Environments::new(Options { folders: vec![folder.to_owned()], ..Options::new("/nowhere", "", "/bin/fission") })
}

#[test]
fn an_operators_folder_adds_environments_and_wins_over_the_embedded_ones() {
    let folder = folder(COBOL);
    for given in [folder.path().to_owned(), folder.path().join("cobol")] {
        let catalog = with(&given).unwrap();
        let name = |image: &str| catalog.resolve(image).map(|definition| definition.name.as_str());
        assert_eq!((name("fission/cobol-env"), name("fission/node-env")), (Some("cobol"), Some("cobol")));
        assert_eq!((name("fission/node-env-22"), name("fission/python-env")), (Some("nodejs"), Some("python")));
        let files: Vec<&str> = catalog.list()[0].contents.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(files, ["server", "load.py"], "files of embedded environments can be shared");
    }
}

#[test]
fn what_is_wrong_with_an_operators_folder_is_named_with_its_path() {
    let nothing = tempfile::tempdir().unwrap();
    let message = |folder: &Path| with(folder).unwrap_err().to_string();
    assert!(message(nothing.path()).contains("environment.toml"), "{}", message(nothing.path()));
    assert!(message(Path::new("/no/such")).contains("/no/such"));
    let unknown = folder(&COBOL.replace("summary", "sumary"));
    let said = message(unknown.path());
    assert!(said.contains("cobol/environment.toml") && said.contains("sumary"), "{said}");
    let missing = folder(&COBOL.replace("[\"server\"]", "[\"missing\"]"));
    assert!(message(missing.path()).contains("lists missing"), "{}", message(missing.path()));
}
