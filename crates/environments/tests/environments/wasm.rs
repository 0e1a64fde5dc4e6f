//! What builds of the wasm environment make: components, of every language there is a builder for.

use std::io::Write;
use std::path::{Path, PathBuf};

use fission_environments::{Environments, LogProgress, Options};

use crate::build::{Built, build};
use crate::world::WASM;

/// How a component begins, and a core module does not.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What a build says when the tools of its language cannot be had here.
const UNREACHABLE: [&str; 6] = [
    "this machine lacks",
    "cannot build components yet",
    "tools for javascript could not be installed",
    "tools for python could not be installed",
    "failed to download",
    "Could not resolve host",
];

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/wasm").join(name)
}

/// A build, or nothing where its tools cannot be had, which is said aloud.
async fn built(source: &Path) -> Option<Built> {
    let built = build(WASM, source).await;
    if !built.ok && UNREACHABLE.iter().any(|text| built.log.contains(text)) {
        // Past the capture of test output: nobody should take this for a pass.
        let _ = writeln!(std::io::stderr(), "SKIPPED a component of {}: {}", source.display(), built.log);
        return None;
    }
    Some(built)
}

#[tokio::test]
async fn the_examples_of_every_language_become_components() {
    for name in ["hello", "hello.js", "python", "python/app.py"] {
        let Some(built) = built(&example(name)).await else { continue };
        assert!(built.ok, "{name}: {}", built.log);
        let component = std::fs::read(&built.result).unwrap();
        assert!(component.starts_with(COMPONENT), "{name}: {:?}", &component[..8]);
    }
}

#[tokio::test]
async fn a_project_of_javascript_is_bundled_with_its_packages() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("package.json", r#"{ "name": "f", "type": "module", "main": "src/function.js" }"#);
    write(
        "src/function.js",
        "import { words } from './words.js';\naddEventListener('fetch', (event) => event.respondWith(new Response(words)));\n",
    );
    write("src/words.js", "export const words = 'words that are in no other file';\n");
    let Some(built) = built(folder.path()).await else { return };
    assert!(built.ok, "{}", built.log);
    let component = std::fs::read(&built.result).unwrap();
    let words = b"words that are in no other file";
    assert!(component.windows(words.len()).any(|window| window == words), "the module it imports is not in it");
}

#[tokio::test]
async fn a_component_is_taken_as_it_is() {
    let built = build(WASM, &example("hello.wasm")).await;
    assert!(built.ok, "{}", built.log);
    assert_eq!(std::fs::read(&built.result).unwrap(), std::fs::read(example("hello.wasm")).unwrap());
}

#[tokio::test]
async fn source_that_does_not_parse_fails_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text, where_it_is) in [
        ("function.js", "const a = 1;\nconst = 2;\n", "function.js:2:"),
        ("app.py", "import os\ndef handle(:\n", "\"app.py\", line 2"),
        ("main.rs", "fn main() {\n    let _: u8 = \"no number\";\n}\n", "src/main.rs:2:"),
    ] {
        let source = folder.path().join(file.replace('.', "-"));
        let file = if file == "main.rs" { "src/main.rs" } else { file };
        std::fs::create_dir_all(source.join("src")).unwrap();
        std::fs::write(source.join(file), text).unwrap();
        if file.ends_with(".rs") {
            std::fs::write(source.join("Cargo.toml"), "[package]\nname = \"f\"\nedition = \"2024\"\n").unwrap();
        }
        let Some(built) = built(&source).await else { continue };
        assert!(!built.ok && built.log.contains(where_it_is), "{file}: {}", built.log);
    }
}

#[tokio::test]
async fn source_of_no_known_kind_is_refused_with_what_there_may_be() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let built = build(WASM, folder.path()).await;
    assert!(!built.ok && built.log.contains("Cargo.toml") && built.log.contains("notes.txt"), "{}", built.log);
}

#[tokio::test]
async fn a_machine_without_the_tools_of_a_language_is_told_which_and_how_to_install_them() {
    let cache = tempfile::tempdir().unwrap();
    let bare = Environments::new(Options::new(cache.path(), "/nowhere", "/bin/true")).unwrap();
    let tools = bare.prepare_build(WASM.image, &LogProgress).await.unwrap();
    for (name, named) in
        [("hello", "rustup target add"), ("hello.js", "nodejs npm"), ("python", "python3 python3-venv")]
    {
        let output = tokio::process::Command::new("sh")
            .args(&tools.argv[1..])
            .env_clear()
            .envs(tools.env.clone())
            .envs([("PATH", "/usr/bin:/bin"), ("TMPDIR", "/tmp")])
            .env("HOME", cache.path())
            .env("SRC_PKG", example(name).canonicalize().unwrap())
            .env("DEPLOY_PKG", cache.path().join("out"))
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("lacks") && said.contains(named), "{name}: {said}");
    }
}
