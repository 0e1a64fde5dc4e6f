//! What time it is for people, which is what windows of provisioned concurrency are written in.

use std::fmt::Debug;

use jiff::Zoned;

/// Knows what time it is.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now, in the time zone of schedules that name none.
    fn now(&self) -> Zoned;
}

/// The clock and time zone of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Zoned {
        Zoned::now()
    }
}
