//! Container images without Docker and without a registry: `cargo xtask image`.
//!
//! The files of an image come from this machine: our own program, built for musl; a language's runtime with the shared
//! libraries it needs; an environment's server, prepared as `fission up` prepares it. How a container runs is read from
//! the environment's Dockerfile. Equal inputs make equal images: paths are sorted, and nothing has an owner or a time.

mod archive;
mod arguments;
mod compile;
mod contents;
mod dockerfile;
mod environment;
mod fission;
mod host;
mod languages;
mod python;
mod tar;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use fission_environments::{Environments, Options};

use archive::Image;
use arguments::{Arguments, Wanted, What};
use compile::Compiler;

/// Makes the images that the words name, or lists those there are. Each archive's path is printed when it is whole.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let environments = catalog(root)?;
    let arguments = Arguments::read(words, &environments)?;
    if arguments.list {
        for image in &arguments.images {
            crate::say(&format!("{} {}", image.name, image.reference));
        }
        return Ok(());
    }
    let folder = arguments.out.unwrap_or_else(|| root.join("target").join("images"));
    let workshop = Workshop { root, environments, compiler: Compiler::new(root, &arguments.profile) };
    for wanted in &arguments.images {
        let started = Instant::now();
        let path = folder.join(format!("{}.tar", wanted.name));
        let made = workshop.make(wanted).and_then(|image| archive::write(&image, &path));
        made.with_context(|| wanted.reference.clone())?;
        let mib = std::fs::metadata(&path)?.len() >> 20;
        note(&format!("{}: {mib} MiB in {:.1} s", wanted.reference, started.elapsed().as_secs_f64()));
        crate::say(&path.display().to_string());
    }
    Ok(())
}

/// What images are made with.
struct Workshop<'a> {
    root: &'a Path,
    environments: Environments,
    compiler: Compiler,
}

impl Workshop<'_> {
    fn make(&self, wanted: &Wanted) -> Result<Image> {
        let reference = wanted.reference.clone();
        match &wanted.what {
            What::Platform => fission::image(&self.compiler, reference),
            What::Runtime(name) => environment::runtime(self, name, reference),
            What::Builder(name) => environment::builder(self, name, reference),
        }
    }

    /// The file that says how an environment's image runs.
    fn dockerfile(&self, environment: &str, name: &str) -> PathBuf {
        self.root.join("environments").join(environment).join(name)
    }
}

/// The environments of the tree, prepared in a cache of their own.
fn catalog(root: &Path) -> Result<Environments> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut options = Options::new(cache()?.join("environments"), path, "/fission");
    // Those in the tree, not those that were embedded when this program was built.
    options.folders = vec![root.join("environments")];
    Ok(Environments::new(options)?)
}

/// Where what takes long to make is kept.
fn cache() -> Result<PathBuf> {
    let folder = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let folder = folder.or_else(home).context("neither XDG_CACHE_HOME nor HOME says where to keep what is made")?;
    Ok(folder.join("fission-images"))
}

/// Says how far it is. Standard output is for paths.
fn note(line: &str) {
    use std::io::Write as _;
    // A reader that went away is no reason to fail.
    let _ = writeln!(std::io::stderr(), "image: {line}");
}
