//! What a build printed, as the status of its package keeps it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fission_rpc::build::BuildLog;

/// Bytes kept of the beginning: what was asked for, and often the first error.
const HEAD: usize = 64 * 1024;
/// Bytes kept of the end. Together they leave room for a literal archive in an object of etcd's 1.5 MiB.
const TAIL: usize = 192 * 1024;

/// The output of a build: all of it, or its beginning and its end.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: usize,
    /// Grows with every change.
    version: u64,
}

impl Log {
    /// A line of the platform's own.
    pub(crate) fn say(&self, line: impl std::fmt::Display) {
        let started = {
            let state = self.lock();
            let last = state.tail.back().or(state.head.last()).copied();
            last.is_none_or(|last| last == b'\n')
        };
        self.append(format!("{}{line}\n", if started { "" } else { "\n" }).as_bytes());
    }

    /// The text, and a number that grows with it.
    pub(crate) fn text(&self) -> (u64, String) {
        let state = self.lock();
        let mut bytes = state.head.clone();
        if state.left_out > 0 {
            bytes.extend(format!("\n... {} bytes are left out here ...\n", state.left_out).bytes());
        }
        bytes.extend(&state.tail);
        (state.version, printable(&String::from_utf8_lossy(&bytes)).into_owned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BuildLog for Log {
    fn append(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.version += 1;
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD.saturating_sub(state.head.len())));
        state.head.extend(head);
        state.tail.extend(rest);
        let over = state.tail.len().saturating_sub(TAIL);
        state.tail.drain(..over);
        state.left_out += over;
    }
}

/// A log is read on a terminal, and its author is whoever wrote the source: control characters stay out, but for line
/// ends and tabs. `\r` ends a line: progress bars would hide the lines before them.
fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    Cow::Owned(unified.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_is_kept_whole_and_lines_of_ours_start_a_line() {
        let log = Log::default();
        log.say("first");
        log.append(b"unfinished");
        log.say("last");
        assert_eq!(log.text(), (3, "first\nunfinished\nlast\n".to_owned()));
    }

    #[test]
    fn of_a_long_log_the_beginning_and_the_end_are_kept() {
        let log = Log::default();
        log.append(b"BEGIN");
        for _ in 0..1000 {
            log.append(&[b'x'; 1000]);
        }
        log.append(b"END");
        let (_, text) = log.text();
        assert!(text.starts_with("BEGIN") && text.ends_with("END"), "both ends");
        assert!(text.len() < HEAD + TAIL + 100, "{}", text.len());
        let left_out = 1_000_008 - HEAD - TAIL;
        assert!(text.contains(&format!("{left_out} bytes are left out")));
    }

    #[test]
    fn a_log_cannot_play_tricks_on_a_terminal() {
        let log = Log::default();
        log.append(b"50%\r100%\r\n\x1b]0;title\x07done\xff\n");
        assert_eq!(log.text().1, "50%\n100%\n\u{fffd}]0;title\u{fffd}done\u{fffd}\n");
    }
}
