//! Building source: what the package controller asks of whoever can run a build.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use fission_api::{Archive, Environment, Package};

/// One build to run.
#[derive(Clone, Debug)]
pub struct BuildJob {
    /// `namespace/name` of the package, for messages.
    pub package: String,
    /// Whose builder builds it.
    pub environment: Arc<Environment>,
    /// The command and its arguments, as [`parse_command`] gives them. `build` is the environment's own.
    pub command: Vec<String>,
    /// The source: a file or a folder. Only read; the build gets a copy.
    pub source: PathBuf,
}

/// What a build made. Its files are removed when this is dropped.
pub struct Artifact {
    /// A file or a folder that no process writes to any more. Its content is as hostile as the source was.
    pub path: PathBuf,
    /// Removes the files when dropped.
    pub files: Box<dyn std::any::Any + Send + Sync>,
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifact").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a build made nothing. The text is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The same source will fail again: the command failed, a limit was reached, the environment cannot build.
    #[error("{why}")]
    Failed {
        /// What happened, which limit decided, what to do.
        why: String,
    },
    /// The build was broken off by something that is not the source's fault; another try may work.
    #[error("{why}")]
    Interrupted {
        /// What happened.
        why: String,
    },
}

/// Takes what a build prints, in the order it comes, both outputs together.
pub trait BuildLog: Send + Sync {
    /// Some bytes; not necessarily whole lines.
    fn append(&self, bytes: &[u8]);
}

/// Runs builds.
///
/// Promises: both outputs are read all the time, so no amount of output stops a build; time, memory and disk are
/// limited; dropping the future ends the build and removes all its files.
#[async_trait]
pub trait Builder: Send + Sync + 'static {
    /// Builds and gives the result.
    async fn build(&self, job: BuildJob, log: &dyn BuildLog) -> Result<Artifact, BuildError>;
}

/// One build to run far from here.
#[derive(Clone, Debug)]
pub struct FarJob {
    /// The package with the source, as it is stored.
    pub package: Package,
    /// Whose builder builds it.
    pub environment: Arc<Environment>,
    /// The command and its arguments, as [`parse_command`] gives them.
    pub command: Vec<String>,
}

/// Runs builds where neither this process nor its disk is: fetches the source and stores the result itself.
///
/// Promises what [`Builder`] does.
#[async_trait]
pub trait FarBuilder: Send + Sync + 'static {
    /// Builds, and says where the result is stored.
    async fn build(&self, job: FarJob, log: &dyn BuildLog) -> Result<Archive, BuildError>;
}

/// Takes a build command apart at white space. An empty one is the environment's own, `build`.
///
/// The error is for the user: the command has characters that only a shell understands. A package with such a command is
/// refused when it is stored; that of an environment is not, since most of its packages may need no build.
pub fn parse_command(command: &str) -> Result<Vec<String>, String> {
    if let Some(problem) = fission_api::build_command_problem(command) {
        return Err(format!("the build command {command:?} {problem}"));
    }
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    Ok(if words.is_empty() { vec!["build".to_owned()] } else { words })
}

#[cfg(test)]
mod tests {
    use super::parse_command;

    #[test]
    fn a_command_is_words_and_an_empty_one_is_the_environments_own() {
        assert_eq!(parse_command("./build.sh  --fast").unwrap(), ["./build.sh", "--fast"]);
        assert_eq!(parse_command(" ").unwrap(), ["build"]);
    }

    #[test]
    fn a_command_for_a_shell_is_refused_with_the_sign_that_needs_one() {
        for (command, sign) in [("make && make install", "'&'"), ("echo $HOME", "'$'"), ("a\nb", "'\\n'")] {
            let refused = parse_command(command).unwrap_err();
            assert!(refused.contains(sign) && refused.contains("--buildcmd"), "{refused}");
        }
    }
}
