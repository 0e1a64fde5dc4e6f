//! Which environment a function runs in: the one that was named, else the one its files are written for.

use std::path::Path;
use std::time::Duration;

use fission_api::{Environment, EnvironmentSpec};

use super::RunLocalArgs;
use crate::code::bundle::split_pattern;
use crate::code::sources::SourceFlags;
use crate::failure::{Failure, Outcome};
use crate::io::Io;
use crate::noun;
use crate::session::Session;

/// How long a platform is asked for an environment: without one the built-in environments do.
const PLATFORM_WITHIN: Duration = Duration::from_secs(2);

/// A built-in environment, and how files show that they are for it.
struct Language {
    names: &'static [&'static str],
    image: &'static str,
    extensions: &'static [&'static str],
    /// A file with this name in a folder decides, whatever else is there.
    mark: &'static str,
}

const LANGUAGES: [Language; 12] = [
    language(&["nodejs", "node"], "fission/node-env", &["js", "mjs", "cjs"], "package.json"),
    language(&["python"], "fission/python-env", &["py"], "requirements.txt"),
    language(&["python-fastapi", "fastapi"], "fission/python-fastapi-env", &[], ""),
    language(&["go"], "fission/go-env", &["go"], "go.mod"),
    language(&["php"], "fission/php-env", &["php"], "composer.json"),
    language(&["ruby"], "fission/ruby-env", &["rb"], "Gemfile"),
    language(&["perl"], "fission/perl-env", &["pl", "psgi"], "cpanfile"),
    language(&["jvm", "java"], "fission/jvm-env", &["java", "jar"], "pom.xml"),
    language(&["rust"], "fission/rust-env", &["rs"], "Cargo.toml"),
    language(&["dotnet"], "fission/dotnet-env", &["cs", "csproj"], ""),
    language(&["binary"], "fission/binary-env", &["sh"], ""),
    language(&["wasm"], "fission/wasm-env", &["wasm"], ""),
];

const fn language(
    names: &'static [&'static str],
    image: &'static str,
    extensions: &'static [&'static str],
    mark: &'static str,
) -> Language {
    Language { names, image, extensions, mark }
}

/// An environment that was settled on, and how.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) spec: EnvironmentSpec,
    pub(super) why: String,
}

/// Finds the environment of a run.
pub(super) async fn choose(args: &RunLocalArgs, sources: &SourceFlags, s: &mut Session) -> Outcome<Chosen> {
    let mut chosen = match (&args.image, &args.env) {
        (Some(image), _) => of_image(image, args.env_version, "--image".to_owned()),
        (None, Some(name)) => named(name, s).await?,
        (None, None) => of_files(sources, &s.io)?,
    };
    if let Some(image) = &args.builder_image {
        chosen.spec.builder.image.clone_from(image);
    }
    // A change takes one; another is ready for the change after it, however soon that is saved.
    chosen.spec.poolsize = 2;
    Ok(chosen)
}

/// The environment of this name: of the platform commands talk to, if there is one, else built in.
async fn named(name: &str, s: &mut Session) -> Outcome<Chosen> {
    let declared = tokio::time::timeout(PLATFORM_WITHIN, noun::find::<Environment>(s, name)).await;
    if let Ok(Ok(Some(environment))) = declared {
        return Ok(Chosen { spec: environment.spec, why: format!("environment '{name}' of {}", s.server()) });
    }
    let built_in = LANGUAGES.iter().find(|language| language.names.contains(&name));
    let built_in = built_in.map(|language| of_image(language.image, 3, format!("built-in environment '{name}'")));
    built_in.ok_or_else(|| {
        let names: Vec<&str> = LANGUAGES.iter().map(|language| language.names[0]).collect();
        let failure = Failure::new(format_args!("there is no environment '{name}'; built in: {}", names.join(", ")));
        match declared {
            Ok(Ok(_)) => failure.hint(format_args!("nor has {} one of this name", s.server())),
            _ => failure.hint("no platform answers that could have more; name its image: --image IMAGE"),
        }
    })
}

/// The environment the files are written for.
fn of_files(sources: &SourceFlags, io: &Io) -> Outcome<Chosen> {
    let inputs = sources.code.iter().chain(&sources.deployarchive).chain(&sources.sourcearchive);
    for input in inputs {
        let (path, pattern) = split_pattern(&io.dir, input);
        let found = match pattern {
            Some(pattern) => of_name(Path::new(&pattern)).map(|language| (language, input.clone())),
            None if path.is_dir() => of_folder(&path),
            None => of_name(&path).map(|language| (language, input.clone())),
        };
        if let Some((language, file)) = found {
            return Ok(of_image(language.image, 3, format!("because of {file}")));
        }
    }
    let known: Vec<String> =
        LANGUAGES.iter().flat_map(|language| language.extensions).map(|ending| format!(".{ending}")).collect();
    Err(Failure::new(format_args!("the files do not tell which environment they need ({} do)", known.join(", ")))
        .hint("name it with --env, such as --env nodejs, or its image with --image"))
}

fn of_name(path: &Path) -> Option<&'static Language> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    LANGUAGES.iter().find(|language| language.extensions.contains(&ending.as_str()))
}

/// A mark decides, else the files directly in it, when they are of one language only.
fn of_folder(folder: &Path) -> Option<(&'static Language, String)> {
    let mark = LANGUAGES.iter().find(|language| !language.mark.is_empty() && folder.join(language.mark).is_file());
    if let Some(language) = mark {
        return Some((language, folder.join(language.mark).display().to_string()));
    }
    let mut found: Option<(&Language, String)> = None;
    let mut names: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        let Some(language) = of_name(&path) else { continue };
        match &found {
            None => found = Some((language, path.display().to_string())),
            Some((other, _)) if other.image == language.image => {}
            Some(_) => return None,
        }
    }
    found
}

fn of_image(image: &str, version: i64, why: String) -> Chosen {
    let mut spec = EnvironmentSpec { version, ..EnvironmentSpec::default() };
    image.clone_into(&mut spec.runtime.image);
    Chosen { spec, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(files: &[&str], given: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let io = Io::to(Box::new(std::io::sink()), Box::new(std::io::sink()), dir.path().to_owned());
        let sources = SourceFlags { deployarchive: vec![given.to_owned()], ..SourceFlags::default() };
        of_files(&sources, &io).map(|chosen| chosen.spec.runtime.image).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_files_ending_names_its_environment() {
        for (file, image) in [
            ("a.js", "fission/node-env"),
            ("a.MJS", "fission/node-env"),
            ("a.py", "fission/python-env"),
            ("a.go", "fission/go-env"),
            ("a.php", "fission/php-env"),
            ("a.pl", "fission/perl-env"),
            ("a.jar", "fission/jvm-env"),
            ("a.rs", "fission/rust-env"),
            ("a.cs", "fission/dotnet-env"),
            ("a.sh", "fission/binary-env"),
            ("a.wasm", "fission/wasm-env"),
        ] {
            assert_eq!(image_of(&[file], file).as_deref(), Ok(image));
        }
        assert_eq!(image_of(&[], "http://host/code.py?x=1.py").as_deref(), Ok("fission/python-env"));
        assert!(image_of(&["a.txt"], "a.txt").unwrap_err().contains(".mjs"));
    }

    #[test]
    fn a_folder_is_known_by_its_mark_or_by_files_of_one_language() {
        assert_eq!(image_of(&["f/package.json", "f/tool.py"], "f").as_deref(), Ok("fission/node-env"));
        assert_eq!(image_of(&["f/a.py", "f/b.py", "f/notes.txt"], "f").as_deref(), Ok("fission/python-env"));
        assert_eq!(image_of(&["f/a.py"], "f/*.py").as_deref(), Ok("fission/python-env"));
        assert!(image_of(&["f/a.py", "f/b.js"], "f").is_err());
    }
}
