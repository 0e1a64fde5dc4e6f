//! Who is told how a preparation goes.

use std::time::Duration;

/// One step of a preparation, told when it starts.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Name of the environment: `nodejs`.
    pub environment: &'a str,
    /// Which step, from 1.
    pub number: usize,
    /// How many steps there are.
    pub of: usize,
    /// What is done: `Installing express and ws`.
    pub what: &'a str,
}

/// Told how a preparation goes. Nothing is told when the environment is prepared already.
pub trait Progress: Send + Sync {
    /// A step starts; the one before it is done.
    fn step(&self, step: Step<'_>);
    /// The last step is done. Not called when the preparation fails.
    fn done(&self, environment: &str, took: Duration);
}

/// Progress as log lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogProgress;

impl Progress for LogProgress {
    fn step(&self, step: Step<'_>) {
        tracing::info!("preparing environment {} ({}/{}): {}", step.environment, step.number, step.of, step.what);
    }

    fn done(&self, environment: &str, took: Duration) {
        tracing::info!("environment {environment} prepared in {:.1} s", took.as_secs_f64());
    }
}
