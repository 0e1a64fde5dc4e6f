//! Making an environment's folder under the cache, once.
//!
//! The folder is built as `<name>.preparing` under the lock `<name>.lock` and renamed to `<name>-<hash>` when complete,
//! so a process killed halfway leaves only something the next one removes.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::definition::{Build, Definition, Preparation, Way};
use crate::host::{self, Tool};
use crate::progress::{Progress, Step};
use crate::{BuildTools, Options, Runtime};

/// Lines of a failed command's output that are shown.
const SHOWN_LINES: usize = 20;

/// Bytes of the hash in a folder's name: no two preparations of one machine collide by chance.
const HASH_BYTES: usize = 8;

/// A preparation command that takes longer than this is ended: a registry that accepts and never answers.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// Variables that say how the network and its certificates are reached; every build gets those that are set.
const SURROUNDINGS: [&str; 17] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "COMPOSER_CAFILE",
];

/// Texts of npm and pip that mean the network is not there.
const OFFLINE: [&str; 9] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ENETUNREACH",
    "ETIMEDOUT",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
];

/// Why an environment could not be prepared. The text is for the user.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// No built-in environment answers to the image.
    #[error("image {image} is not built in; this machine can run {}", known.join(", "))]
    UnknownImage {
        /// The image asked for.
        image: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The environment has no builder.
    #[error(
        "environment {environment} builds nothing: its functions are deployed as they are, \
         with --code or --deployarchive"
    )]
    NoBuilder {
        /// The environment.
        environment: String,
    },
    /// The host lacks a program, or only has versions that are too old.
    #[error("environment {environment} needs {tool} {minimum} or newer on this machine, but {found}. {install}")]
    MissingTool {
        /// The environment.
        environment: String,
        /// The program.
        tool: String,
        /// Oldest version accepted.
        minimum: String,
        /// What was found instead.
        found: String,
        /// What to do.
        install: String,
    },
    /// A command needed the network and did not have it.
    #[error(
        "environment {environment} could not be prepared: {command} could not reach its package registry. \
         Preparing needs the network once; afterwards it works without. Its last output:\n{output}"
    )]
    Offline {
        /// The environment.
        environment: String,
        /// The command.
        command: String,
        /// Its last lines.
        output: String,
    },
    /// A command failed.
    #[error("environment {environment} could not be prepared: {command} {why}. Its last output:\n{output}")]
    CommandFailed {
        /// The environment.
        environment: String,
        /// The command.
        command: String,
        /// How it ended.
        why: String,
        /// Its last lines.
        output: String,
    },
    /// The cache could not be read or written.
    #[error("environment {environment} could not be prepared: {} could not be {action}", path.display())]
    Cache {
        /// The environment.
        environment: String,
        /// `written`, `locked`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// See [`crate::Environments::prepare`].
pub(crate) async fn prepare(
    definition: &Definition,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Runtime, PrepareError> {
    let (tools, home) = prepared(definition, options, progress).await?;
    Ok(runtime(definition, options, &tools, home))
}

/// See [`crate::Environments::prepare_build`].
pub(crate) async fn prepare_build(
    definition: &Definition,
    build: &Build,
    options: &Options,
    progress: &dyn Progress,
) -> Result<BuildTools, PrepareError> {
    let (tools, home) = prepared(definition, options, progress).await?;
    Ok(build_tools(definition, build, options, &tools, &home))
}

/// The host's tools and the prepared folder, made if it is not there.
async fn prepared(
    definition: &Definition,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(Vec<Tool>, PathBuf), PrepareError> {
    let tools = host::find_all(definition, &options.search_path).await?;
    let home = options.cache_dir.join(format!("{}-{}", definition.name, hash(definition, &tools)));
    if !definition.files.is_empty() && !home.is_dir() {
        let work = Work { definition, options, tools: &tools, progress };
        let _lock = work.lock().await?;
        // Someone else may have made it while this one waited for the lock.
        if !home.is_dir() {
            work.make(&home).await?;
        }
    }
    Ok((tools, home))
}

/// One preparation under way.
struct Work<'a> {
    definition: &'a Definition,
    options: &'a Options,
    tools: &'a [Tool],
    progress: &'a dyn Progress,
}

impl Work<'_> {
    async fn lock(&self) -> Result<File, PrepareError> {
        let path = self.options.cache_dir.join(format!("{}.lock", self.definition.name));
        self.cache("made", &self.options.cache_dir, std::fs::create_dir_all(&self.options.cache_dir))?;
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = self.cache("written", &path, opened)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        self.cache("locked", &path, locked.unwrap_or_else(|error| Err(io::Error::other(error))))
    }

    async fn make(&self, home: &Path) -> Result<(), PrepareError> {
        let started = Instant::now();
        let building = self.options.cache_dir.join(format!("{}.preparing", self.definition.name));
        let scratch = self.options.cache_dir.join(format!("{}.scratch", self.definition.name));
        for leftover in [&building, &scratch] {
            self.remove(leftover)?;
            self.cache("made", leftover, std::fs::create_dir_all(leftover))?;
        }
        let steps: Vec<&Preparation> = self.definition.prepare.iter().filter(|step| self.is_needed(step)).collect();
        let of = steps.len() + 1;
        let environment = self.definition.name.as_str();
        self.progress.step(Step { environment, number: 1, of, what: "Writing the server" });
        self.write_files(&building)?;
        for (index, preparation) in steps.into_iter().enumerate() {
            self.progress.step(Step { environment, number: index + 2, of, what: &preparation.step });
            self.one_of(&preparation.ways, &building, &scratch).await?;
        }
        self.remove(&scratch)?;
        self.cache("put in place", home, std::fs::rename(&building, home))?;
        self.progress.done(environment, started.elapsed());
        Ok(())
    }

    fn is_needed(&self, step: &Preparation) -> bool {
        let Some(missing) = &step.only_without else { return true };
        self.tools.iter().any(|tool| tool.name == *missing && tool.substituted)
    }

    fn write_files(&self, folder: &Path) -> Result<(), PrepareError> {
        for (file, content) in &self.definition.contents {
            let path = folder.join(file);
            if let Some(parent) = path.parent() {
                self.cache("made", parent, std::fs::create_dir_all(parent))?;
            }
            self.cache("written", &path, std::fs::write(&path, content))?;
        }
        Ok(())
    }

    /// Does a step in the first way this host has.
    async fn one_of(&self, ways: &[Way], home: &Path, scratch: &Path) -> Result<(), PrepareError> {
        for (index, way) in ways.iter().enumerate() {
            match self.run_way(way, home, scratch).await {
                Err(PrepareError::CommandFailed { output, .. })
                    if index + 1 < ways.len() && way.unavailable.iter().any(|text| output.contains(text)) => {}
                result => return result,
            }
        }
        Ok(())
    }

    async fn run_way(&self, way: &Way, home: &Path, scratch: &Path) -> Result<(), PrepareError> {
        for command in &way.run {
            let mut words = command.iter().map(|word| fill(word, self.options, self.tools, home, scratch));
            if let Some(program) = words.next() {
                self.run(&program, &words.collect::<Vec<_>>(), home).await?;
            }
        }
        Ok(())
    }

    async fn run(&self, program: &str, arguments: &[String], home: &Path) -> Result<(), PrepareError> {
        let command = format!("`{} {}`", program.rsplit('/').next().unwrap_or(program), arguments.join(" "));
        let failed = |why: String, output: String| {
            let environment = self.definition.name.clone();
            if OFFLINE.iter().any(|text| output.contains(text)) {
                return PrepareError::Offline { environment, command: command.clone(), output };
            }
            PrepareError::CommandFailed { environment, command: command.clone(), why, output }
        };
        let run = Command::new(program)
            .args(arguments)
            .current_dir(home)
            .env("PATH", &self.options.search_path)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = match tokio::time::timeout(COMMAND_TIMEOUT, run).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(failed(format!("could not be run: {error}"), String::new())),
            Err(_) => return Err(failed(format!("took longer than {} s", COMMAND_TIMEOUT.as_secs()), String::new())),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(failed(format!("failed ({})", output.status), last_lines(&String::from_utf8_lossy(&said))))
    }

    fn remove(&self, folder: &Path) -> Result<(), PrepareError> {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.cache("removed", folder, Err(error)),
            _ => Ok(()),
        }
    }

    fn cache<T>(&self, action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, PrepareError> {
        result.map_err(|source| PrepareError::Cache {
            environment: self.definition.name.clone(),
            action,
            path: path.to_owned(),
            source,
        })
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Puts paths in for placeholders.
fn fill(word: &str, options: &Options, tools: &[Tool], home: &Path, scratch: &Path) -> String {
    let mut filled = word.to_owned();
    let fixed = [("home", home), ("scratch", scratch), ("fission", options.fission.as_path())];
    // Tools first: the path of a substitute begins with `{home}`.
    for (name, path) in tools.iter().map(|tool| (tool.name.as_str(), tool.path.as_path())).chain(fixed) {
        filled = filled.replace(&format!("{{{name}}}"), &path.to_string_lossy());
    }
    filled
}

/// Of everything a prepared folder is made from.
fn hash(definition: &Definition, tools: &[Tool]) -> String {
    let mut parts: Vec<&[u8]> = vec![definition.source.as_bytes()];
    for (file, content) in &definition.contents {
        parts.extend([file.as_bytes(), content.as_ref()]);
    }
    let hosts: Vec<String> = tools.iter().map(|tool| format!("{} {}", tool.path.display(), tool.version)).collect();
    parts.extend(hosts.iter().map(String::as_bytes));
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        // Lengths keep two lists of parts with the same concatenation apart.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref()[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn runtime(definition: &Definition, options: &Options, tools: &[Tool], home: PathBuf) -> Runtime {
    let filled = |word: &String| fill(word, options, tools, &home, &home);
    let start = &definition.start;
    let argv: Vec<String> = start.argv.iter().map(filled).collect();
    let mut read_only = needed(definition, tools, &home);
    read_only.extend(argv.first().map(PathBuf::from));
    Runtime {
        name: definition.name.clone(),
        env: start.env.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
        argv,
        read_only: host::without_system_folders(read_only),
        listen: start.listen,
        system_calls: definition.seccomp.also.clone(),
    }
}

/// The prepared folder, and what the tools need to see.
fn needed(definition: &Definition, tools: &[Tool], home: &Path) -> Vec<PathBuf> {
    let own = (!definition.contents.is_empty()).then(|| home.to_owned());
    own.into_iter().chain(tools.iter().flat_map(|tool| tool.folders.clone())).collect()
}

fn build_tools(definition: &Definition, build: &Build, options: &Options, tools: &[Tool], home: &Path) -> BuildTools {
    // What this host lacks and need not have is the empty text.
    let without = |word: String| {
        let optional = definition.requires.iter().filter(|requirement| requirement.optional);
        optional.fold(word, |word, missing| word.replace(&format!("{{{}}}", missing.tool), ""))
    };
    let filled = |word: &String| without(fill(word, options, tools, home, home));
    let programs = host::locate(&build.programs, &options.search_path);
    let mut read_only = needed(definition, tools, home);
    let mut path: Vec<PathBuf> = Vec::new();
    for program in tools.iter().map(|tool| &tool.path).chain(&programs) {
        read_only.push(program.clone());
        read_only.extend(program.canonicalize());
        // The system's folders are on every path, after these.
        let folder = program.parent().unwrap_or(Path::new("/")).to_owned();
        if !path.contains(&folder) && !host::is_system_folder(&folder) {
            path.push(folder);
        }
    }
    let mut env: Vec<(String, String)> = SURROUNDINGS
        .iter()
        .copied()
        .chain(build.inherit.iter().map(String::as_str))
        .filter_map(|name| Some((name.to_owned(), options.variables.get(name)?.clone())))
        .collect();
    env.extend(build.env.iter().map(|(name, value)| (name.clone(), filled(value))));
    BuildTools {
        name: definition.name.clone(),
        argv: build.argv.iter().map(filled).collect(),
        env,
        path,
        read_only: host::without_system_folders(read_only),
        system_calls: definition.seccomp.also.clone(),
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
