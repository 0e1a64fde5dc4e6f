//! What a person sees while an environment is prepared: a bar on a terminal, lines elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fission_environments::{BuildTools, Environments, LogProgress, Progress, Runtime, Step};
use fission_sandbox::RuntimeSource;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows preparations on standard error.
pub(crate) struct Preparation {
    /// `None` where there is no terminal to draw on.
    bar: Option<Mutex<Option<ProgressBar>>>,
}

impl Preparation {
    /// A bar if standard error is a terminal, log lines otherwise.
    pub(crate) fn new() -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self { bar: terminal.then(Mutex::default) }
    }
}

impl Progress for Preparation {
    fn step(&self, step: Step<'_>) {
        let Some(bar) = &self.bar else { return LogProgress.step(step) };
        let mut bar = bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(step.of as u64);
            let style = ProgressStyle::with_template("{spinner} environment {prefix} [{bar:20}] {pos}/{len} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_prefix(step.environment.to_owned());
        bar.set_position(step.number as u64);
        bar.set_message(step.what.to_owned());
    }

    fn done(&self, environment: &str, took: Duration) {
        if let Some(bar) = &self.bar
            && let Some(bar) = bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
        {
            bar.finish_and_clear();
        }
        LogProgress.done(environment, took);
    }
}

/// The catalog, with someone to watch preparations.
pub(crate) struct Shown(pub(crate) Arc<Environments>);

#[async_trait]
impl RuntimeSource for Shown {
    async fn runtime(&self, image: &str) -> Result<Runtime, String> {
        self.0.prepare(image, &Preparation::new()).await.map_err(|error| error.to_string())
    }

    async fn build_tools(&self, image: &str) -> Result<BuildTools, String> {
        self.0.prepare_build(image, &Preparation::new()).await.map_err(|error| error.to_string())
    }
}
