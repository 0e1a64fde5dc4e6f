//! Preparing the real environments.

use fission_environments::{Environments, Listen, Options, PrepareError};

use crate::world::{GO, LANGUAGES, NODEJS, PHP, PYTHON, RUST, catalog, runtime};

#[tokio::test]
async fn a_prepared_environment_starts_by_absolute_paths_and_names_what_it_reads() {
    for language in LANGUAGES {
        let runtime = runtime(language).await;
        assert_eq!(runtime.name, language.name);
        assert_eq!(runtime.listen, Listen::Unix);
        assert!(runtime.argv[0].starts_with('/'), "{:?}", runtime.argv);
        assert!(!runtime.argv.iter().any(|word| word.contains('{')), "{:?}", runtime.argv);
        for path in &runtime.read_only {
            assert!(path.is_absolute() && path.exists(), "{path:?}");
        }
    }
}

#[tokio::test]
async fn preparing_again_gives_the_same_and_tells_nothing() {
    let first = runtime(NODEJS).await;
    assert_eq!(catalog().prepare("ghcr.io/fission/node-env-22:latest", &Silent).await.unwrap(), first);
}

#[tokio::test]
async fn a_host_without_the_language_is_told_what_to_install() {
    for (language, program) in
        [(NODEJS, "node 18.19"), (PYTHON, "python3 3.9"), (GO, "go 1.21"), (PHP, "php 8.1"), (RUST, "rustc 1.88")]
    {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("cache"), folder.path(), "/bin/true");
        let error = Environments::new(options).unwrap().prepare(language.image, &Silent).await.unwrap_err();
        assert!(matches!(error, PrepareError::MissingTool { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(program) && text.contains("nstall"), "{text}");
    }
}

/// Fails the test when told anything.
struct Silent;

impl fission_environments::Progress for Silent {
    fn step(&self, step: fission_environments::Step<'_>) {
        panic!("told of {step:?}");
    }

    fn done(&self, environment: &str, _took: std::time::Duration) {
        panic!("told that {environment} is done");
    }
}
