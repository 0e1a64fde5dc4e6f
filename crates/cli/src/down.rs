//! `fission down`: ends the platform on this machine and waits until it is gone.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::duration::GoDuration;
use crate::failure::{Doing, Failure, Outcome};
use crate::running::{Running, default_data_dir};
use crate::session::Session;

/// Pause between two looks at the process.
const PAUSE: Duration = Duration::from_millis(20);

/// End the platform on this machine
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission down
  fission down --data /srv/fission")]
pub(crate) struct DownArgs {
    /// Its data folder; $FISSION_DATA, else $XDG_DATA_HOME/fission, else ~/.local/share/fission
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How long to wait until it has drained; it goes on draining after that
    #[arg(long, default_value = "2m")]
    pub(crate) timeout: GoDuration,
}

pub(crate) async fn run(args: DownArgs, s: &mut Session) -> Outcome {
    let dir = args.data.map_or_else(|| default_data_dir(&s.io.vars), |dir| s.io.dir.join(dir));
    let running = match Running::read(&dir).map_err(Failure::new)? {
        Some(running) if running.is_alive() => running,
        _ => {
            return s.io.say(format_args!("no platform runs in {}", dir.display()));
        }
    };
    let wrong = || Failure::new(format_args!("{} names no process: {}", dir.display(), running.pid));
    let pid = i32::try_from(running.pid).ok().and_then(Pid::from_raw).ok_or_else(wrong)?;
    kill_process(pid, Signal::TERM).doing(format_args!("cannot end process {}", running.pid))?;
    let deadline = args.timeout.positive().map(|timeout| Instant::now() + timeout);
    while running.is_alive() {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::new(format_args!("the platform (process {}) is still draining", running.pid))
                .hint("wait for the requests in flight, or end it at once with: kill -9"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    s.io.say(format_args!("platform in {} ended (process {})", dir.display(), running.pid))
}
