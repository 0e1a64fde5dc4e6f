//! The two outputs of an instance, until the log store takes them over.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock};

use fission_rpc::logs::{LogOwner, LogSink};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

/// Bytes of output that are looked through for the last lines; what a pipe holds.
const KEPT: usize = 64 * 1024;
/// Bytes waiting in a pipe at which the log store must take over, lest the instance stands still.
const FULL: u64 = 32 * 1024;
/// Lines shown of the output of an instance that did not come up.
const SHOWN_LINES: usize = 12;

/// The reading ends of both outputs.
pub(crate) struct Outputs {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Outputs {
    /// Makes the pipes: (reading ends, writing ends of stdout and stderr).
    pub(crate) fn make() -> io::Result<(Self, [OwnedFd; 2])> {
        let (stdout, out) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, err) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok((Self { stdout, stderr }, [out, err]))
    }

    /// The reading ends of stdout and stderr.
    pub(crate) fn into_pipes(self) -> (OwnedFd, OwnedFd) {
        (self.stdout, self.stderr)
    }

    /// Whether so much was printed that the instance may soon have to wait.
    pub(crate) fn nearly_full(&self) -> bool {
        [&self.stdout, &self.stderr].into_iter().any(|pipe| rustix::io::ioctl_fionread(pipe).is_ok_and(|n| n > FULL))
    }

    /// The last lines printed so far, as a clause for a message; empty when there are none. Takes nothing away from the
    /// log store.
    pub(crate) fn last_lines(&self) -> String {
        let text = [&self.stdout, &self.stderr].map(|pipe| peek(pipe).unwrap_or_default()).concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        if shown.is_empty() { String::new() } else { format!(". Its last output:\n{}", shown.join("\n")) }
    }

    /// Gives the outputs to the log store.
    pub(crate) fn hand_over(self, sink: &dyn LogSink, owner: Arc<RwLock<LogOwner>>) {
        let owner = move || owner.read().unwrap_or_else(PoisonError::into_inner).clone();
        sink.capture(Arc::new(owner), self.stdout, self.stderr);
    }
}

/// A copy of what waits in a pipe.
fn peek(pipe: &OwnedFd) -> io::Result<Vec<u8>> {
    let (copy, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    tee(pipe, &writer, KEPT, SpliceFlags::NONBLOCK)?;
    drop(writer);
    let mut bytes = Vec::new();
    File::from(copy).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
