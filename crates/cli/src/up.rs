//! `fission up`: its flags. The binary runs the platform, since it alone sees every component.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Run the platform on this machine
#[derive(Clone, Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission up
  fission up --data /srv/fission --listen-router 0.0.0.0:80
  fission up --ephemeral --listen-api 127.0.0.1:0 --listen-router 127.0.0.1:0
  fission up --prepare nodejs,python
  fission up --environments ./my-environments
  fission up --require-isolation

VARIABLES:
  FISSION_LOG                what the platform itself logs: info, debug, fission_router=trace, ...
  FISSION_ENVIRONMENT_CACHE  folder of prepared environments, to share it between data folders
  EXECUTOR_PROVISIONED_CONCURRENCY_ENABLED  false keeps no instances for functions that ask for it (--provisioned-concurrency)
  EXECUTOR_PROVISIONED_MAX_PER_FUNCTION     instances kept for one of them at most; 20")]
pub struct UpArgs {
    /// Folder that holds everything; $FISSION_DATA, else $XDG_DATA_HOME/fission, else ~/.local/share/fission
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the API server listens; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:31313")]
    pub listen_api: SocketAddr,
    /// Where the router listens; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:31314")]
    pub listen_router: SocketAddr,
    /// Keep everything in a temporary folder that is removed at the end
    #[arg(long, conflicts_with = "data")]
    pub ephemeral: bool,
    /// Environments to prepare before saying ready, such as nodejs,python
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub prepare: Vec<String>,
    /// Most instances at once on this machine
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub max_instances: usize,
    /// Memory that stays free, in MiB: with less, new instances wait; a tenth of the machine's when not given
    #[arg(long, value_name = "MIB")]
    pub memory_reserve: Option<u64>,
    /// Memory an instance may use when its environment sets no limit, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub memory_limit: u64,
    /// Run nothing that this machine cannot isolate by all of `fission check`, or by the parts named, such as
    /// =seccomp,landlock
    #[arg(long, value_name = "PARTS", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "all")]
    pub require_isolation: Vec<String>,
    /// Folder with more environments, or of one; an image they name is theirs. May be repeated
    #[arg(long, value_name = "DIR")]
    pub environments: Vec<PathBuf>,
    /// Registries that code in images is pulled from over plain HTTP, as HOST or HOST:PORT; those on loopback always are
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub allow_insecure_registries: Vec<String>,
    /// Builds of packages at once; more wait
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub builds: usize,
    /// Longest time of one build, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub build_timeout: u64,
    /// Memory one build may use when its environment sets no limit, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub build_memory: u64,
    /// Disk space one build may use, its cache included, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 8192)]
    pub build_disk: u64,
    /// End when standard input ends: for a program that starts a platform of its own and may be killed
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}
