//! Settings of the backend, and where it learns how servers of an environment are started.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use fission_environments::{BuildTools, Environments, LogProgress, Runtime};

use crate::isolation::Feature;
use crate::protocol::Limits;

/// Settings of the backend.
#[derive(Clone, Debug)]
pub struct Options {
    /// The platform's data folder; instances have their directories below `run/`.
    pub data_dir: PathBuf,
    /// Where a link is made when `data_dir` is too long for the path of a unix socket; made safe where everyone may
    /// write.
    pub short_dir: PathBuf,
    /// Limits of an instance where its environment or function declares none.
    pub limits: Limits,
    /// What every instance must be isolated by, as far as it concerns it; without, it is not started.
    pub require: Vec<Feature>,
    /// How long an instance may take until it answers.
    pub ready_timeout: Duration,
    /// Bytes of the private `/tmp`; they count as memory of the instance.
    pub tmp_bytes: u64,
    /// Bytes of the private `/dev/shm`; they count as memory of the instance.
    pub shm_bytes: u64,
}

impl Options {
    /// The defaults: 512 MiB and 256 processes an instance (room for any of our environments several times over, and
    /// a bomb stops early), 16,384 open files, 30 s to become ready.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            short_dir: PathBuf::from("/tmp"),
            limits: Limits { memory: 512 << 20, pids: 256, cpu_millis: None, open_files: 16_384, file_bytes: None },
            require: Vec::new(),
            ready_timeout: Duration::from_secs(30),
            tmp_bytes: 256 << 20,
            shm_bytes: 64 << 20,
        }
    }
}

/// Why the backend could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Its directories could not be made.
    #[error("instances cannot have their directories below {path}: {source}")]
    Directories {
        /// The data folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Gives what is needed to start servers of an environment.
#[async_trait]
pub trait RuntimeSource: Send + Sync + 'static {
    /// Prepares the environment that answers to an image, once. The error is for the user.
    async fn runtime(&self, image: &str) -> Result<Runtime, String>;

    /// Prepares what builds need for the environment that answers to an image, its builder's or its own. The error is for
    /// the user.
    async fn build_tools(&self, image: &str) -> Result<BuildTools, String> {
        Err(format!("nothing here builds for image {image}"))
    }
}

#[async_trait]
impl RuntimeSource for Environments {
    async fn runtime(&self, image: &str) -> Result<Runtime, String> {
        self.prepare(image, &LogProgress).await.map_err(|error| error.to_string())
    }

    async fn build_tools(&self, image: &str) -> Result<BuildTools, String> {
        self.prepare_build(image, &LogProgress).await.map_err(|error| error.to_string())
    }
}
