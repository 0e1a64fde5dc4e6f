//! Percentiles and the shape of a result row.

use std::time::Duration;

/// Samples of one measurement, sorted.
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The nearest-rank percentile in milliseconds; 0 without samples.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rank = ((percent / 100.0) * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1].as_secs_f64() * 1000.0
    }
}

/// Prints one row of the table in `bench/README.md`.
#[allow(clippy::print_stdout)] // the table is the product
pub(crate) fn row(what: &str, samples: &Samples, note: &str) {
    let (p50, p99) = (samples.percentile(50.0), samples.percentile(99.0));
    println!("| {what} | {} | {p50:.3} | {p99:.3} | {note} |", samples.len());
}

/// Prints a row whose figure is not a latency.
#[allow(clippy::print_stdout)] // the table is the product
pub(crate) fn figure(what: &str, n: usize, value: &str, note: &str) {
    println!("| {what} | {n} | {value} | | {note} |");
}

/// Prints a heading and the head of a table.
#[allow(clippy::print_stdout)] // the table is the product
pub(crate) fn heading(title: &str) {
    println!("\n### {title}\n\n| what | n | p50 ms | p99 ms | note |\n|---|---:|---:|---:|---|");
}
