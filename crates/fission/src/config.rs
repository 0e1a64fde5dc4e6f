//! Every setting of a platform on one machine, in one struct; those of a role in a cluster are in [`cluster`]. The only
//! place of the server that reads flags or the environment. `fission up --help` documents the flags; the constants below
//! document the variables.

pub(crate) mod cluster;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fission_cli::UpArgs;
use fission_cli::env::Variables;
use fission_cli::running::default_data_dir;
use fission_sandbox::{BuildOptions, Feature};
use tempfile::TempDir;

/// Folder of prepared environments, shared by every platform that names it; default `cache/environments` in the data
/// folder.
const ENVIRONMENT_CACHE: &str = "FISSION_ENVIRONMENT_CACHE";
/// Whether instances are kept for functions that ask for provisioned concurrency: `true` or `false`. `true`.
const PROVISIONED_ENABLED: &str = "EXECUTOR_PROVISIONED_CONCURRENCY_ENABLED";
/// Instances kept for one such function at most. 20.
const PROVISIONED_MOST: &str = "EXECUTOR_PROVISIONED_MAX_PER_FUNCTION";
/// What the platform itself logs, as a tracing filter such as `debug` or `fission_router=trace`.
const LOG: &str = "FISSION_LOG";
/// What the platform logs when nothing else is said.
const DEFAULT_LOG: &str = "warn,fission=info";

/// Settings of one platform.
#[derive(Debug)]
pub(crate) struct Config {
    /// Holds everything the platform keeps.
    pub(crate) data: PathBuf,
    /// The data folder when it is temporary; removed when this is dropped.
    pub(crate) temporary: Option<TempDir>,
    /// Where the API listens.
    pub(crate) api: SocketAddr,
    /// Where the router listens.
    pub(crate) router: SocketAddr,
    /// Environments to prepare before saying ready.
    pub(crate) prepare: Vec<String>,
    /// Prepared environments.
    pub(crate) environment_cache: PathBuf,
    /// Where programs of the environments are looked for.
    pub(crate) search_path: OsString,
    /// Most instances on this machine.
    pub(crate) max_instances: usize,
    /// Bytes of memory that stay free; `None` is a tenth of the machine's.
    pub(crate) memory_reserve: Option<u64>,
    /// Memory of an instance whose environment sets no limit, in bytes.
    pub(crate) memory_bytes: u64,
    /// Registries of code that are asked over plain HTTP, beside those on loopback.
    pub(crate) insecure_registries: Vec<String>,
    /// What every instance must be isolated by.
    pub(crate) require_isolation: Vec<Feature>,
    /// Folders of environments beside the built-in ones.
    pub(crate) environment_folders: Vec<PathBuf>,
    /// This process's own variables; builds get those their environment names.
    pub(crate) variables: HashMap<String, String>,
    /// Builds at once.
    pub(crate) builds: usize,
    /// Limits of one build.
    pub(crate) build: BuildOptions,
    /// What is kept for functions before anyone asks.
    pub(crate) provisioned: Provisioned,
    /// Whether the end of standard input ends the platform.
    pub(crate) until_stdin_ends: bool,
}

impl Config {
    /// The settings of `fission up` with these flags.
    pub(crate) fn read(args: UpArgs) -> Result<Self> {
        let temporary = if args.ephemeral {
            Some(tempfile::Builder::new().prefix("fission-").tempdir().context("cannot make a temporary data folder")?)
        } else {
            None
        };
        let data = match (&temporary, args.data) {
            (Some(folder), _) => folder.path().to_owned(),
            (None, Some(data)) => std::path::absolute(data).context("--data is no path")?,
            (None, None) => default_data_dir(&Variables::of_process()),
        };
        let environment_cache =
            std::env::var_os(ENVIRONMENT_CACHE).map_or_else(|| data.join("cache/environments"), PathBuf::from);
        Ok(Self {
            data,
            temporary,
            api: args.listen_api,
            router: args.listen_router,
            prepare: args.prepare,
            environment_cache,
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            max_instances: args.max_instances,
            memory_reserve: args.memory_reserve.map(|mib| mib << 20),
            memory_bytes: args.memory_limit << 20,
            insecure_registries: args.allow_insecure_registries,
            require_isolation: required(&args.require_isolation)?,
            environment_folders: args.environments,
            variables: std::env::vars_os().filter_map(|(name, value)| text(name).zip(text(value))).collect(),
            builds: args.builds,
            provisioned: Provisioned::read(variable)?,
            until_stdin_ends: args.until_stdin_ends,
            build: build_options(args.build_timeout, args.build_memory << 20, args.build_disk << 20),
        })
    }
}

/// What is kept for functions before anyone asks, in every home: the names are Fission's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Provisioned {
    /// `EXECUTOR_PROVISIONED_CONCURRENCY_ENABLED`.
    pub(crate) enabled: bool,
    /// `EXECUTOR_PROVISIONED_MAX_PER_FUNCTION`.
    pub(crate) per_function: usize,
}

impl Provisioned {
    /// The settings in these variables.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let filled = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let enabled = filled(PROVISIONED_ENABLED).unwrap_or_else(|| "true".to_owned());
        let most = filled(PROVISIONED_MOST).unwrap_or_else(|| "20".to_owned());
        Ok(Self {
            enabled: enabled
                .to_ascii_lowercase()
                .parse()
                .with_context(|| format!("{PROVISIONED_ENABLED}={enabled:?} is neither true nor false"))?,
            per_function: most.parse().with_context(|| format!("{PROVISIONED_MOST}={most:?} is no number"))?,
        })
    }
}

/// The parts of isolation that are named; `all` is every one.
fn required(words: &[String]) -> Result<Vec<Feature>> {
    if words.iter().any(|word| word == "all") {
        return Ok(Feature::ALL.to_vec());
    }
    let known = || Feature::ALL.map(Feature::word).join(", ");
    let of = |word: &String| {
        Feature::of_word(word)
            .with_context(|| format!("--require-isolation={word}: there is no such part; known: all, {}", known()))
    };
    words.iter().map(of).collect()
}

fn text(value: OsString) -> Option<String> {
    value.into_string().ok()
}

fn build_options(seconds: u64, memory: u64, disk_bytes: u64) -> BuildOptions {
    let mut options = BuildOptions { timeout: Duration::from_secs(seconds), disk_bytes, ..BuildOptions::default() };
    options.limits.memory = memory;
    options.limits.file_bytes = Some(disk_bytes);
    options.cache_bytes = options.cache_bytes.min(disk_bytes / 2);
    options
}

/// What the platform logs, as a tracing filter.
#[allow(clippy::disallowed_methods)] // this is the file the rule points to
pub(crate) fn log_filter() -> String {
    std::env::var(LOG).unwrap_or_else(|_| DEFAULT_LOG.to_owned())
}

/// A variable of this process's environment that is text.
#[allow(clippy::disallowed_methods)] // this is the file the rule points to
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provisioned_concurrency_is_on_with_twenty_for_a_function_and_mistakes_name_the_variable() {
        let read = |name: &str, value: &str| Provisioned::read(|asked| (asked == name).then(|| value.to_owned()));
        assert_eq!(read("", "").unwrap(), Provisioned { enabled: true, per_function: 20 });
        assert!(!read(PROVISIONED_ENABLED, "False").unwrap().enabled);
        assert_eq!(read(PROVISIONED_MOST, "3").unwrap().per_function, 3);
        assert!(read(PROVISIONED_ENABLED, "maybe").unwrap_err().to_string().contains(PROVISIONED_ENABLED));
        assert!(read(PROVISIONED_MOST, "-1").unwrap_err().to_string().contains(PROVISIONED_MOST));
    }
}
