//! From the bytes of a log to lines with their times, each once. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// Bytes of a line that are held while its end is waited for; the rest of a longer one is a line of the same time.
const MOST: usize = 64 * 1024;
/// Lines a container may print per second of its own time, and at once, before some are left out.
const PER_SECOND: f64 = 5_000.0;
const AT_ONCE: f64 = 20_000.0;
/// How long lines are left out once there were too many, so that there is not a note for every few of them.
const MUTED: Duration = Duration::from_secs(1);

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// When it was printed, to the microsecond.
    pub time: Timestamp,
    /// The text without its line end.
    pub text: Vec<u8>,
}

/// Cuts bytes at line ends.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    partial: Vec<u8>,
    /// The time of the line whose rest is coming in.
    continues: Option<Timestamp>,
}

impl Splitter {
    /// The lines that are complete with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Printed> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.partial.extend_from_slice(text);
            if ends || self.partial.len() > MOST {
                lines.extend(self.take(ends));
            }
        }
        lines
    }

    /// What is there of a line that does not end.
    pub(super) fn rest(&mut self) -> Vec<Printed> {
        if self.partial.is_empty() { Vec::new() } else { self.take(true).into_iter().collect() }
    }

    fn take(&mut self, ends: bool) -> Option<Printed> {
        let line = std::mem::take(&mut self.partial);
        let line = line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line);
        let printed = match self.continues {
            // The end of a line that was cut exactly at its end.
            Some(_) if line.is_empty() => None,
            Some(time) => Some(Printed { time, text: line }),
            None => timed(&line),
        };
        self.continues = if ends { None } else { printed.as_ref().map(|printed| printed.time) };
        printed
    }
}

/// A line as the API server gives it: its time, a space, the text. `None` for what is none, such as an error of the
/// container runtime's.
fn timed(line: &[u8]) -> Option<Printed> {
    let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let time: Timestamp = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
    let time = Timestamp::from_microsecond(time.as_microsecond()).ok()?;
    Some(Printed { time, text: line.get(at + 1..).unwrap_or_default().to_vec() })
}

/// How far a log was read.
#[derive(Debug)]
pub(super) struct Place {
    /// Time of the newest line, and how many lines with that time were read.
    newest: Option<(Timestamp, usize)>,
    /// Lines of that time that are still to be passed over.
    again: usize,
    /// Lines read.
    pub(super) read: u64,
    allowance: f64,
    muted_until: Option<Timestamp>,
    left_out: u64,
}

impl Place {
    /// After what was kept before.
    pub(super) fn after(newest: Option<(Timestamp, usize)>) -> Self {
        Self { newest, again: 0, read: 0, allowance: AT_ONCE, muted_until: None, left_out: 0 }
    }

    /// From when on the log is asked for.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.newest.map(|(time, _)| time)
    }

    /// The log is read again from [`Self::time`] on.
    pub(super) fn reopened(&mut self) {
        self.again = self.newest.map_or(0, |(_, lines)| lines);
    }

    /// The lines that were not read before, but for those that are too many.
    pub(super) fn fresh(&mut self, lines: Vec<Printed>) -> Vec<Printed> {
        let mut fresh = Vec::with_capacity(lines.len());
        for line in lines {
            let before = self.newest;
            match before {
                Some((newest, _)) if line.time < newest => continue,
                Some((newest, _)) if line.time == newest && self.again > 0 => {
                    self.again -= 1;
                    continue;
                }
                Some((newest, count)) if line.time == newest => self.newest = Some((newest, count + 1)),
                _ => (self.newest, self.again) = (Some((line.time, 1)), 0),
            }
            self.read += 1;
            if self.allows(&line, before.map(|(time, _)| time)) {
                fresh.extend(self.notice(line.time));
                fresh.push(line);
            } else {
                self.left_out += 1;
            }
        }
        fresh
    }

    /// Whether a line is within the rate of what a container may print, by the times of its lines.
    fn allows(&mut self, line: &Printed, before: Option<Timestamp>) -> bool {
        let passed = before.map_or(0.0, |before| line.time.duration_since(before).as_secs_f64());
        self.allowance = (self.allowance + passed * PER_SECOND).min(AT_ONCE);
        if self.muted_until.is_some_and(|until| line.time < until) {
            return false;
        }
        self.muted_until = None;
        if self.allowance < 1.0 {
            self.muted_until = line.time.checked_add(MUTED).ok();
            return false;
        }
        self.allowance -= 1.0;
        true
    }

    fn notice(&mut self, time: Timestamp) -> Option<Printed> {
        let count = std::mem::take(&mut self.left_out);
        let text =
            format!("[fission] {count} lines were dropped here: the instance printed more than {PER_SECOND} a second");
        (count > 0).then(|| Printed { time, text: text.into_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Printed]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    fn split(log: &str) -> Vec<Printed> {
        let mut splitter = Splitter::default();
        let mut lines = splitter.push(log.as_bytes());
        lines.extend(splitter.rest());
        lines
    }

    const LOG: &str = "2026-01-01T00:00:01.000001234Z a\n2026-01-01T00:00:01.000001239Z b\n2026-01-01T00:00:02Z c d\n";

    #[test]
    fn lines_have_their_times_wherever_the_bytes_are_cut() {
        let whole = split(LOG);
        assert_eq!(texts(&whole), ["a", "b", "c d"]);
        assert_eq!(whole[0].time.to_string(), "2026-01-01T00:00:01.000001Z");
        for at in 0..LOG.len() {
            let mut splitter = Splitter::default();
            let mut lines = splitter.push(&LOG.as_bytes()[..at]);
            lines.extend(splitter.push(&LOG.as_bytes()[at..]));
            assert_eq!(lines, whole);
        }
    }

    #[test]
    fn what_has_no_time_is_no_line_and_an_empty_line_is_one() {
        assert_eq!(texts(&split("failed to watch file\n2026-01-01T00:00:01Z \n2026-01-01T00:00:02Z\n")), ["", ""]);
    }

    #[test]
    fn a_line_without_end_is_kept_in_parts() {
        let long = format!("2026-01-01T00:00:01Z {}\n2026-01-01T00:00:02Z next\n", "x".repeat(3 * MOST));
        let mut splitter = Splitter::default();
        let lines: Vec<Printed> = long.as_bytes().chunks(1000).flat_map(|piece| splitter.push(piece)).collect();
        let sum: usize = lines.iter().map(|line| line.text.len()).sum();
        assert_eq!(sum, 3 * MOST + "next".len());
        assert!(lines.iter().all(|line| line.text.len() < MOST + 1000) && lines.last().unwrap().text == b"next");
    }

    #[test]
    fn a_log_that_is_read_again_gives_only_what_is_new() {
        let mut place = Place::after(None);
        let (first, second) = LOG.split_at(LOG.find("2026-01-01T00:00:01.000001239Z").unwrap());
        assert_eq!(texts(&place.fresh(split(first))), ["a"]);
        place.reopened();
        assert_eq!(texts(&place.fresh(split(LOG))), ["b", "c d"]);
        place.reopened();
        assert!(place.fresh(split(LOG)).is_empty());
        assert_eq!(place.time().unwrap().to_string(), "2026-01-01T00:00:02Z");
        let mut another = Place::after(Some(("2026-01-01T00:00:01.000001Z".parse().unwrap(), 1)));
        another.reopened();
        assert_eq!(texts(&another.fresh(split(&format!("{first}{second}")))), ["b", "c d"]);
    }

    #[test]
    fn a_flood_loses_lines_and_every_lost_line_is_counted() {
        let mut place = Place::after(None);
        let log: String = (0..100_000).map(|at| format!("2026-01-01T00:00:01.{at:06}Z x\n")).collect();
        let kept = place.fresh(split(&log)).len();
        assert!((20_000..21_000).contains(&kept), "{kept}");
        let later = texts(&place.fresh(split("2026-01-01T00:00:09Z y\n")));
        assert!(later[0].starts_with(&format!("[fission] {} lines", 100_000 - kept)), "{later:?}");
        assert_eq!(later[1], "y");
    }
}
