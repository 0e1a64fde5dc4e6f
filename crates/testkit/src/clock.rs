//! A clock that goes as fast as the runtime's, so that paused time passes for people too.

use fission_executor::clock::Clock;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio::time::Instant;

/// In UTC.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock {
    start: Timestamp,
    began: Instant,
}

impl RuntimeClock {
    /// Shows this time now.
    ///
    /// # Panics
    /// When the text is no time such as `2026-11-27T08:00:00Z`.
    pub fn at(start: &str) -> Self {
        Self { start: start.parse().expect("a time"), began: Instant::now() }
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Zoned {
        (self.start + self.began.elapsed()).to_zoned(TimeZone::UTC)
    }
}
