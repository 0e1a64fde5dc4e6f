//! The images of an environment: its runtime, and its builder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fission_environments::{BuildTools, Environments, Progress, Step};

use super::archive::{Image, Settings};
use super::compile::Compiler;
use super::contents::Contents;
use super::languages::{self, Use};
use super::{Workshop, dockerfile, host};

/// Where an environment's files are in its images, as its Dockerfiles have it.
const HOME: &str = "/environment";
/// What commands without a path are looked for in.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The image that functions of an environment run in.
pub(super) fn runtime(workshop: &Workshop<'_>, name: &str, reference: String) -> Result<Image> {
    let environments = &workshop.environments;
    let runtime = wait(environments.prepare(&reference, &Notes))?;
    let mut settings = dockerfile::read(&workshop.dockerfile(name, "Dockerfile"))?;
    let mut contents = Contents::default();
    host::put_system(&mut contents)?;
    let home = super::cache().map(|cache| home(&cache, &runtime.argv))?;
    if let Some(home) = &home {
        put_home(&mut contents, home)?;
    }
    let mut variables = languages::put(&mut contents, name, &runtime, Use::Runtime)?;
    if ["binary", "rust"].contains(&name) {
        let server = workshop.compiler.program("fission-env-server")?;
        contents.host_file(&server, settings.entrypoint.first().context("nothing is started")?)?;
    }
    host::put_libraries(&mut contents)?;
    variables.extend(runtime.env.iter().map(|(name, value)| (name.clone(), in_image(value, home.as_deref()))));
    complete(&mut settings, variables);
    Ok(Image { reference, settings, contents })
}

/// The image that source of an environment is built in.
pub(super) fn builder(workshop: &Workshop<'_>, name: &str, reference: String) -> Result<Image> {
    let environments = &workshop.environments;
    let tools = wait(environments.prepare_build(&reference, &Notes))?;
    let home = super::cache().map(|cache| home(&cache, &tools.argv))?.context("the build has no folder")?;
    let runtime = wait(environments.prepare(&runtime_of(environments, name)?, &Notes))?;
    let mut settings = dockerfile::read(&workshop.dockerfile(name, "Dockerfile.builder"))?;
    let mut contents = Contents::default();
    host::put_system(&mut contents)?;
    // Only those that build with the server of the environment have it.
    if settings.folder == HOME {
        put_home(&mut contents, &home)?;
    }
    let mut variables = languages::put(&mut contents, name, &runtime, Use::Builder)?;
    variables.extend(variables_of(&tools, &home, settings.folder == HOME));
    put_builder(&mut contents, &workshop.compiler, &home)?;
    host::put_libraries(&mut contents)?;
    complete(&mut settings, variables);
    Ok(Image { reference, settings, contents })
}

fn put_builder(contents: &mut Contents, compiler: &Compiler, home: &Path) -> Result<()> {
    contents.host_file(&compiler.program("fission")?, "builder")?;
    contents.executable("usr/local/bin/build", &home.join("build"))?;
    // What the group may write to, whatever the user is.
    contents.folder("home/builder", 0o775)?;
    contents.folder("packages", 0o775)?;
    host::put_shell(contents)
}

/// Variables of builds that name the environment's own files. Programs are on the search path.
fn variables_of(tools: &BuildTools, home: &Path, has_home: bool) -> Vec<(String, String)> {
    let home = has_home.then_some(home);
    let of_home = tools.env.iter().filter(|(_, value)| home.is_some_and(|home| Path::new(value).starts_with(home)));
    of_home.map(|(name, value)| (name.clone(), in_image(value, home))).collect()
}

/// The prepared folder. Programs that packages bring with them name an interpreter of this machine, and nobody runs them.
fn put_home(contents: &mut Contents, home: &Path) -> Result<()> {
    contents.host_folder(home, HOME, &|path| path != "site-packages/bin" && path != "build")
}

/// An environment's variables come first, then the Dockerfile's, then what every image has.
fn complete(settings: &mut Settings, variables: Vec<(String, String)>) {
    let ours = variables.into_iter().map(|(name, value)| format!("{name}={value}"));
    let defaults = ["HOME=/tmp", "LANG=C.UTF-8"].map(str::to_owned);
    let path = format!("PATH={SEARCH_PATH}");
    let all = std::mem::take(&mut settings.variables).into_iter().chain(ours).chain(defaults).chain([path]);
    for variable in all {
        let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
        if !settings.variables.iter().any(|other| name(other) == name(&variable)) {
            settings.variables.push(variable);
        }
    }
}

/// Where a file of a prepared folder is in the image; `None` for other files.
pub(super) fn place_of(path: &Path) -> Result<Option<String>> {
    let path = path.to_string_lossy().into_owned();
    let home = home(&super::cache()?, std::slice::from_ref(&path));
    Ok(home.map(|home| in_image(&path, Some(&home))))
}

/// The prepared folder that words of a command speak of.
fn home(cache: &Path, words: &[String]) -> Option<PathBuf> {
    let folder = cache.join("environments");
    words.iter().find_map(|word| {
        let below = Path::new(word).strip_prefix(&folder).ok()?;
        Some(folder.join(below.components().next()?))
    })
}

fn in_image(value: &str, home: Option<&Path>) -> String {
    home.map_or_else(|| value.to_owned(), |home| value.replace(&*home.to_string_lossy(), HOME))
}

fn runtime_of(environments: &Environments, name: &str) -> Result<String> {
    let environment = environments.list().iter().find(|environment| environment.name == name);
    let image = environment.and_then(|environment| environment.images.first());
    image.map(|image| format!("fission/{image}")).with_context(|| format!("there is no environment {name}"))
}

fn wait<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future)?)
}

/// Says how far a preparation is.
struct Notes;

impl Progress for Notes {
    fn step(&self, step: Step<'_>) {
        super::note(&format!("{} {}/{}: {}", step.environment, step.number, step.of, step.what));
    }

    fn done(&self, environment: &str, took: Duration) {
        super::note(&format!("{environment} prepared in {:.1} s", took.as_secs_f64()));
    }
}
