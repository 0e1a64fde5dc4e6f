//! One build command: its process, its output, its end.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fission_rpc::build::BuildLog;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Bytes read at once; what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How long the last output is waited for after the end. It is there already, unless a process that was left behind holds
/// the pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What to run, and where.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) argv: Vec<String>,
    pub(super) source: PathBuf,
    pub(super) is_folder: bool,
    pub(super) deploy: PathBuf,
    /// Name of `deploy`.
    pub(super) artifact: String,
}

/// Runs a build command to its end. Dropped, it ends it. The error is for the user.
pub(super) async fn run(job: &Job, timeout: Duration, hidden: &[String], log: &dyn BuildLog) -> Result<(), String> {
    let name = job.argv.join(" ");
    let mut child =
        start(job, hidden).map_err(|error| format!("the build command `{name}` could not be started: {error}"))?;
    let _group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let seconds = timeout.as_secs();
    let how = tokio::time::timeout(timeout, pump(&mut child, log)).await.map_err(|_| {
        format!("the build was ended: it took longer than {seconds} s, the limit of one build (BUILD_TIMEOUT)")
    })?;
    judge(how.map_err(|error| format!("the build broke: {error}"))?)?;
    let deploy = job.deploy.clone();
    if std::fs::symlink_metadata(&deploy).is_err() {
        return Err(
            "the build command ended well but made nothing: it must put its result where DEPLOY_PKG says".into()
        );
    }
    let opened = tokio::task::spawn_blocking(move || make_readable(deploy)).await;
    opened.unwrap_or_else(|error| Err(error.into())).map_err(|error| format!("the result cannot be read: {error}"))
}

fn start(job: &Job, hidden: &[String]) -> io::Result<Child> {
    let (program, arguments) = job.argv.split_first().ok_or_else(|| io::Error::other("it is empty"))?;
    let folder = if job.is_folder { &job.source } else { job.source.parent().unwrap_or(Path::new("/")) };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("SRC_PKG", &job.source)
        .env("DEPLOY_PKG", &job.deploy)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    hidden.iter().for_each(|name| _ = command.env_remove(OsStr::new(name)));
    command.spawn()
}

/// Everything a command started and did not end; ended with this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nothing is left of most.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Gives both outputs to the log, at the same time, until the command has ended.
async fn pump(child: &mut Child, log: &dyn BuildLog) -> io::Result<ExitStatus> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        tokio::join!(read(stdout, log), read(stderr, log));
    };
    tokio::pin!(reading);
    tokio::select! {
        how = child.wait() => {
            let _ = tokio::time::timeout(LAST_WORDS, reading).await;
            how
        }
        () = &mut reading => child.wait().await,
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, log: &dyn BuildLog) {
    let Some(mut pipe) = pipe else { return };
    let (mut chunk, mut kept) = (vec![0; CHUNK], 0);
    // A pipe that breaks has said everything.
    while let Ok(read @ 1..) = pipe.read(&mut chunk[kept..]).await {
        let filled = kept + read;
        let whole = filled - cut_off(&chunk[..filled]);
        log.append(&chunk[..whole]);
        chunk.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
    log.append(&chunk[..kept]);
}

/// Bytes at the end that are the beginning of a character.
fn cut_off(bytes: &[u8]) -> usize {
    let Some(start) = bytes.iter().rev().take(3).position(|byte| *byte >= 0xc0) else { return 0 };
    let tail = &bytes[bytes.len() - start - 1..];
    match std::str::from_utf8(tail) {
        Err(error) if error.error_len().is_none() => tail.len(),
        _ => 0,
    }
}

/// What the end of a build command means.
fn judge(how: ExitStatus) -> Result<(), String> {
    match (how.code(), how.signal()) {
        (Some(0), _) => Ok(()),
        (Some(127), _) => Err("the build command exited with code 127: a program it needs is not there".into()),
        // How a shell says that a program it ran got the signal.
        (Some(137), _) | (None, Some(9)) => {
            Err("the build was killed, most likely because it was over its memory limit (the environment's \
             builder.container.resources)"
                .into())
        }
        (Some(code), _) => Err(format!("the build command exited with code {code}")),
        (None, Some(signal)) => Err(format!("the build command was ended by signal {signal}")),
        (None, None) => Err("the build command ended, and nobody knows how".into()),
    }
}

/// Lets the fetcher, which is another user, read what was made. Blocking.
fn make_readable(top: PathBuf) -> io::Result<()> {
    let mut left = vec![top];
    while let Some(path) = left.pop() {
        let found = std::fs::symlink_metadata(&path)?;
        let (mode, kind) = (found.permissions().mode(), found.file_type());
        let wanted = if kind.is_dir() { mode | 0o555 } else { mode | 0o444 };
        if kind.is_symlink() {
            continue;
        }
        if mode != wanted {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(wanted))?;
        }
        if kind.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cut_off;

    #[test]
    fn only_a_character_that_is_not_complete_waits_for_the_rest() {
        for (bytes, waiting) in [
            (&b"abc"[..], 0),
            ("caf\u{e9}".as_bytes(), 0),
            (&"caf\u{e9}".as_bytes()[..4], 1),
            (&"\u{1f980}".as_bytes()[..3], 3),
            (b"\xff", 0),
            (b"", 0),
        ] {
            assert_eq!(cut_off(bytes), waiting, "{bytes:?}");
        }
    }
}
