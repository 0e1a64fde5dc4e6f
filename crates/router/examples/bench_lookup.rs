//! How long finding a route takes with few and with many of them.
//!
//! `cargo run --release -p fission-router --example bench_lookup`
#![allow(clippy::print_stdout)]

fn main() {
    let sizes = [10, 10_000, 100_000];
    let results: Vec<_> = sizes.iter().map(|routes| fission_router::bench::lookup(*routes)).collect();
    println!("{:>8}  {:>12} {:>7}  {:>13} {:>13}", "routes", "lookup ns", "ratio", "build ms", "one change us");
    for (routes, result) in sizes.iter().zip(&results) {
        println!(
            "{routes:>8}  {:>12.1} {:>7.2}  {:>13.1} {:>13.1}",
            result.nanos_per_lookup,
            result.nanos_per_lookup / results[0].nanos_per_lookup,
            result.build.as_secs_f64() * 1e3,
            result.one_change.as_secs_f64() * 1e6,
        );
    }
}
