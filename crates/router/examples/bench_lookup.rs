//! How long finding a route takes with few and with many of them.
//!
//! `cargo run --release -p fission-router --example bench_lookup`
#![allow(clippy::print_stdout)]

fn main() {
    let sizes = [10, 10_000, 100_000];
    let results: Vec<_> = sizes.iter().map(|routes| fission_router::bench::lookup(*routes)).collect();
    println!(
        "{:>8}  {:>14} {:>6}  {:>16} {:>6}  {:>9} {:>14}",
        "routes", "10 busy, ns", "ratio", "1,000 busy, ns", "ratio", "build ms", "one change us"
    );
    for (routes, result) in sizes.iter().zip(&results) {
        println!(
            "{routes:>8}  {:>14.1} {:>6.2}  {:>16.1} {:>6.2}  {:>9.1} {:>14.1}",
            result.few_busy_nanos,
            result.few_busy_nanos / results[0].few_busy_nanos,
            result.many_busy_nanos,
            result.many_busy_nanos / results[0].many_busy_nanos,
            result.build.as_secs_f64() * 1e3,
            result.one_change.as_secs_f64() * 1e6,
        );
    }
}
