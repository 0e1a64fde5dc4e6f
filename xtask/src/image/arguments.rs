//! What `cargo xtask image` is asked for.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use fission_environments::{Environments, Kind};

const USAGE: &str = "usage: cargo xtask image [--out DIR] [--profile PROFILE] [--tag TAG] [--list] NAME...

NAME is `all`, the name of an image that --list prints, or an environment's, for its runtime and its builder.
PROFILE is cargo's: `image` (quick, the default), `release`. TAG is that of fission/fission; others are `latest`.";

/// The profile for images while developing.
const QUICK: &str = "image";

/// The platform's own image.
const PLATFORM: &str = "fission";

/// One image there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `node-env`.
    pub(super) name: String,
    /// `fission/node-env:latest`.
    pub(super) reference: String,
    pub(super) what: What,
}

/// What an image is of; environments by the name of their folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Platform,
    Runtime(String),
    Builder(String),
}

/// The words of the command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) out: Option<PathBuf>,
    pub(super) profile: String,
    pub(super) list: bool,
    pub(super) images: Vec<Wanted>,
}

impl Arguments {
    /// Reads the words; images are those of these environments.
    pub(super) fn read(words: &[&str], environments: &Environments) -> Result<Self> {
        let (mut out, mut profile, mut tag, mut list) = (None, QUICK, "dev", false);
        let mut names = Vec::new();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n\n{USAGE}"));
            match word {
                "--out" => out = Some(PathBuf::from(value()?)),
                // What cargo calls `dev` has debug information, which has no place in an image.
                "--profile" => profile = Some(value()?).filter(|name| *name != "dev").unwrap_or(QUICK),
                "--tag" => tag = value()?,
                "--list" => list = true,
                option if option.starts_with('-') => bail!("there is no option {option}\n\n{USAGE}"),
                name => names.push(name),
            }
        }
        ensure!(list || !names.is_empty(), "{USAGE}");
        if names.is_empty() {
            names.push("all");
        }
        let there_are = all(environments, tag);
        let mut images: Vec<Wanted> = Vec::new();
        for name in names {
            let wanted = there_are.iter().filter(|image| image.answers_to(name));
            let before = images.len();
            images.extend(wanted.cloned());
            ensure!(images.len() > before, "there is no image {name}; --list prints those there are");
        }
        Ok(Self { out, profile: profile.to_owned(), list, images })
    }
}

impl Wanted {
    fn answers_to(&self, name: &str) -> bool {
        let environment = match &self.what {
            What::Platform => None,
            What::Runtime(environment) | What::Builder(environment) => Some(environment.as_str()),
        };
        name == "all" || name == self.name || environment == Some(name)
    }
}

fn all(environments: &Environments, tag: &str) -> Vec<Wanted> {
    let of = |name: &str, tag: &str, what: What| Wanted {
        name: name.to_owned(),
        reference: format!("fission/{name}:{tag}"),
        what,
    };
    let mut images = vec![of(PLATFORM, tag, What::Platform)];
    // WebAssembly runs inside the platform's process: there is nothing to put into an image.
    for environment in environments.list().iter().filter(|environment| environment.kind != Kind::Wasm) {
        let builders = environment.build.as_ref().and_then(|build| build.images.first());
        let runtime = |name: &String| of(name, "latest", What::Runtime(environment.name.clone()));
        let builder = |name: &String| of(name, "latest", What::Builder(environment.name.clone()));
        images.extend(environment.images.first().map(runtime));
        images.extend(builders.map(builder));
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments> {
        let root = crate::root().expect("the workspace has a root");
        Arguments::read(words, &super::super::catalog(&root).expect("the environments can be read"))
    }

    fn references(words: &[&str]) -> Vec<String> {
        read(words).expect("there are such images").images.into_iter().map(|image| image.reference).collect()
    }

    #[test]
    fn an_image_has_a_name_and_an_environment_two_images() {
        assert_eq!(references(&["node-env"]), ["fission/node-env:latest"]);
        assert_eq!(references(&["nodejs"]), ["fission/node-env:latest", "fission/node-builder:latest"]);
        assert_eq!(references(&["fission", "--tag", "1.0"]), ["fission/fission:1.0"]);
        assert!(references(&["--list"]).len() > references(&["nodejs"]).len());
        assert_eq!(references(&["all"]), references(&["--list"]));
    }

    #[test]
    fn what_there_is_not_is_an_error() {
        for words in [&["nothing"][..], &[], &["--out"], &["--fast", "all"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn options_are_read() {
        let read = read(&["--out", "x", "--profile", "dev", "fission"]).expect("they are understood");
        assert_eq!((read.out, read.profile.as_str(), read.list), (Some(PathBuf::from("x")), "image", false));
    }
}
