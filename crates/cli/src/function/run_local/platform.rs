//! The platform of one run: this program once more, in a temporary folder.
//!
//! It ends when its standard input does, which this process holds: however this process ends, nothing is left running.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::failure::{Doing, Failure, Outcome};
use crate::io::Io;
use crate::running::{Running, default_data_dir};

/// Longest time until it is ready. It takes a fraction of a second; a machine that is busy may need more.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Pause between two looks at a file it writes.
const LOOK: Duration = Duration::from_millis(5);
/// Lines shown of its log when it failed.
const LAST_LINES: usize = 8;
/// Variable that names the folder of prepared environments.
const ENVIRONMENT_CACHE: &str = "FISSION_ENVIRONMENT_CACHE";
/// What its log says of an environment that is prepared for the first time on this machine.
const PREPARING: [&str; 2] = ["preparing environment ", " prepared in "];

/// The signals that end the command.
pub(super) struct Signals([Signal; 3]);

impl Signals {
    pub(super) fn new() -> Outcome<Self> {
        let of = |kind| signal(kind).doing("cannot listen for signals");
        Ok(Self([of(SignalKind::interrupt())?, of(SignalKind::terminate())?, of(SignalKind::hangup())?]))
    }

    /// Waits for one.
    pub(super) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A temporary folder, and the platform in it once it is started. The folder is removed with this value.
pub(super) struct Place {
    folder: TempDir,
    child: Option<Child>,
    /// Its standard input: closed, it ends.
    hold: Option<ChildStdin>,
    log_seen: u64,
}

impl Place {
    pub(super) fn make() -> Outcome<Self> {
        let folder = TempDir::with_prefix("fission-run-local-").doing("cannot make a temporary folder")?;
        Ok(Self { folder, child: None, hold: None, log_seen: 0 })
    }

    /// Starts the platform with its router at `port`, and waits until it is ready.
    pub(super) async fn start(&mut self, port: u16, io: &Io) -> Outcome<Running> {
        let doing = "cannot start a platform for this run";
        let program = std::env::current_exe().doing(doing)?;
        let log = File::create(self.log()).doing(doing)?;
        let cache = match io.vars.get(ENVIRONMENT_CACHE) {
            Some(folder) => io.path(folder),
            None => default_data_dir(&io.vars).join("cache/environments"),
        };
        let mut command = Command::new(program);
        command
            .args(["up", "--until-stdin-ends", "--listen-api", "127.0.0.1:0"])
            .arg(format!("--listen-router=127.0.0.1:{port}"))
            .arg("--data")
            .arg(self.data())
            .env(ENVIRONMENT_CACHE, std::path::absolute(cache).doing(doing)?)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().doing(doing)?)
            .stderr(log)
            // A Ctrl-C is for this process, which ends the other one.
            .process_group(0)
            .kill_on_drop(true);
        let child = self.child.insert(command.spawn().doing(doing)?);
        let pid = child.id();
        // Taken from it, as waiting for a child closes its input.
        self.hold = child.stdin.take();
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(running) = Running::read(&self.data()).map_err(Failure::new)?.filter(|it| Some(it.pid) == pid) {
                return Ok(running);
            }
            if let Some(child) = &mut self.child
                && child.try_wait().doing(doing)?.is_some()
            {
                return Err(self.not_started());
            }
            if Instant::now() >= deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(Failure::new(format_args!(
                    "{doing}: it was not ready within {seconds} s\n{}",
                    self.last_lines()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the platform ends, which it should not, and says so.
    pub(super) async fn broke_off(&mut self) -> Failure {
        match &mut self.child {
            Some(child) => {
                let ended =
                    child.wait().await.map(|status| status.to_string()).unwrap_or_else(|error| error.to_string());
                Failure::new(format_args!("the platform of this run ended ({ended})\n{}", self.last_lines()))
            }
            None => std::future::pending().await,
        }
    }

    /// Tells the platform to end, once its requests are done.
    pub(super) fn let_go(&mut self) {
        drop(self.hold.take());
    }

    /// Ends the platform and waits until it is gone; another signal ends it without waiting for requests.
    pub(super) async fn end(mut self, signals: &mut Signals) {
        self.let_go();
        let Some(child) = &mut self.child else { return };
        let gone = tokio::select! {
            biased;
            gone = child.wait() => gone.is_ok(),
            () = signals.next() => false,
        };
        if !gone {
            // Nothing can be done about a process that cannot be ended.
            let _ = child.kill().await;
        }
    }

    /// What was logged about the preparation of environments since the last call: it takes long the first time.
    pub(super) fn preparations(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(self.log()) else { return Vec::new() };
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(self.log_seen)).and_then(|_| file.read_to_end(&mut bytes));
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n').filter(|_| read.is_ok()) else {
            return Vec::new();
        };
        self.log_seen += end as u64 + 1;
        let text = String::from_utf8_lossy(&bytes[..end]);
        let lines = text.lines().filter(|line| PREPARING.iter().any(|words| line.contains(words)));
        lines.map(|line| line.split_once("INFO ").map_or(line, |(_, said)| said).to_owned()).collect()
    }

    fn not_started(&self) -> Failure {
        let said = self.last_lines();
        match said.lines().find(|line| line.contains(" is taken")) {
            Some(taken) => {
                let taken = taken.trim_start_matches("Error: ").replace("--listen-router", "--port");
                Failure::new(taken)
            }
            None => Failure::new(format_args!("the platform of this run did not start\n{said}")),
        }
    }

    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("platform.log")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}
