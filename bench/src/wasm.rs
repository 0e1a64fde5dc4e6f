//! WebAssembly: first calls, requests a second, memory of idle instances and of functions nobody calls.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::languages::{build, example};
use crate::load::closed_loop;
use crate::platform::{Deployment, Platform};
use crate::stats::{Samples, figure, heading, row};

/// Different components called for the first time.
const COMPONENTS: usize = 100;
/// First calls of functions whose component another function has loaded.
const COLD_STARTS: usize = 200;
/// Instances whose memory is measured.
const IDLE: usize = 500;
/// Pause before it is: idle instances let go of what they served with.
const SETTLED: Duration = Duration::from_secs(12);
/// Length of a round of the warm measurement.
const ROUND: Duration = Duration::from_secs(3);
/// Rounds of the warm measurement, in turn.
const ROUNDS: usize = 3;
/// Warm instances of a pool; those of WebAssembly are names.
const POOL: usize = 3;

/// Pause before a call that is to be alone: what the one before left to do is done by then.
const ALONE: Duration = Duration::from_millis(20);

/// Starts of the platform whose first call is measured.
const STARTS: usize = 20;
/// Longest the first call of a component with a language's runtime in it may take: it is compiled then.
const COMPILED_WITHIN: Duration = Duration::from_secs(600);

/// Every figure.
pub(crate) async fn run(binary: &Path) -> Result<()> {
    heading("WebAssembly: the Rust component of `examples/wasm`");
    let component = std::fs::read(example("wasm/hello.wasm"))?;
    cold(binary, &component).await?;
    warm(binary, &component).await?;
    idle(binary, &component).await?;
    heading("WebAssembly: components with their language in them, made by the builder of `examples/wasm`");
    interpreted(binary, "JavaScript", "wasm/hello.js").await?;
    interpreted(binary, "Python", "wasm/python/app.py").await
}

/// A component that brings the runtime of its language: its first calls, after it was compiled in one that is not measured.
async fn interpreted(binary: &Path, language: &str, source: &str) -> Result<()> {
    let mut platform = Platform::start(binary).await?;
    platform.environment("env", "fission/wasm-env", POOL).await?;
    let code = build(&platform, &std::fs::read(example(source))?).await?;
    for n in 0..=COLD_STARTS {
        platform.function(&format!("other-{n}"), "env", &code, 1).await?;
    }
    let start = Instant::now();
    while let Err(error) = call(&platform, &format!("/other-{COLD_STARTS}")).await {
        ensure!(start.elapsed() < COMPILED_WITHIN, "{language}: {error}");
    }
    figure(&format!("{language}, never compiled before"), 1, &format!("{:.1} s", start.elapsed().as_secs_f64()), "");
    let mut mapped = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        platform = platform.again().await?;
        platform.pool_is_full("env", POOL).await?;
        mapped.push(call(&platform, &format!("/other-{COLD_STARTS}")).await?);
    }
    row(
        &format!("{language}, compiled before, first call after a start of the platform"),
        &Samples::new(mapped),
        "mapped from a file and linked in the call",
    );
    let known = calls(&platform, "other", COLD_STARTS).await?;
    row(&format!("{language}, another function of the same component"), &known, "");
    Ok(())
}

/// A component with the same code and another digest: a custom section is of no consequence.
fn variant(component: &[u8], number: usize) -> Vec<u8> {
    let content = format!("\u{7}variant{number:08}");
    let mut bytes = component.to_vec();
    bytes.extend([0, u8::try_from(content.len()).unwrap_or_default()]);
    bytes.extend(content.as_bytes());
    bytes
}

async fn cold(binary: &Path, component: &[u8]) -> Result<()> {
    let mut platform = Platform::start(binary).await?;
    platform.environment("wasm", "fission/wasm-env", POOL).await?;
    for n in 0..COMPONENTS {
        let code = Deployment::literal(&variant(component, n));
        platform.function(&format!("first-{n}"), "wasm", &code, 1).await?;
    }
    row("never compiled before", &calls(&platform, "first", COMPONENTS).await?, "compiled in the call");
    platform = platform.again().await?;
    platform.pool_is_full("wasm", POOL).await?;
    let mapped = calls(&platform, "first", COMPONENTS).await?;
    row(
        "compiled before, first call after a start of the platform",
        &mapped,
        "mapped from a file and linked in the call",
    );
    let code = Deployment::literal(component);
    for n in 0..COLD_STARTS {
        platform.function(&format!("other-{n}"), "wasm", &code, 1).await?;
    }
    let known = calls(&platform, "other", COLD_STARTS).await?;
    row("another function of the same component", &known, "the first of them maps it");
    let mut loaded = Vec::with_capacity(COLD_STARTS);
    for _ in 0..COLD_STARTS {
        loaded.push(call(&platform, "/other-0").await?);
    }
    row("one that is loaded, for comparison", &Samples::new(loaded), "a new connection, as all calls here");
    for n in 0..COLD_STARTS {
        platform.function(&format!("next-{n}"), "wasm", &code, 1).await?;
    }
    tokio::time::sleep(SETTLED).await;
    let mut one_by_one = Vec::with_capacity(COLD_STARTS);
    for n in 0..COLD_STARTS {
        one_by_one.push(call_now(&platform, &format!("/next-{n}")).await?);
    }
    row("others, one right after the other", &Samples::new(one_by_one), "processors that do not sleep in between");
    node(&platform).await
}

/// The same of a process, in the same run.
async fn node(platform: &Platform) -> Result<()> {
    platform.environment("node", "fission/node-env", POOL).await?;
    let code = Deployment::literal(&std::fs::read(example("nodejs/hello.js"))?);
    for n in 0..COMPONENTS {
        platform.function(&format!("node-{n}"), "node", &code, 1).await?;
    }
    let mut samples = Vec::new();
    for n in 0..COMPONENTS {
        platform.pool_is_full("node", POOL).await?;
        samples.push(call(platform, &format!("/node-{n}")).await?);
    }
    row("Node.js, for comparison", &Samples::new(samples), "pool warm");
    Ok(())
}

async fn calls(platform: &Platform, prefix: &str, count: usize) -> Result<Samples> {
    let mut samples = Vec::with_capacity(count);
    for n in 0..count {
        samples.push(call(platform, &format!("/{prefix}-{n}")).await?);
    }
    Ok(Samples::new(samples))
}

/// One call, by itself.
async fn call(platform: &Platform, path: &str) -> Result<Duration> {
    tokio::time::sleep(ALONE).await;
    call_now(platform, path).await
}

/// From connect to the last byte, by a client that only waits: what it takes is the platform's.
async fn call_now(platform: &Platform, path: &str) -> Result<Duration> {
    let (router, path) = (platform.router, path.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let (start, mut answer) = (Instant::now(), Vec::new());
        let mut stream = TcpStream::connect(router)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut answer)?;
        let took = start.elapsed();
        let head = String::from_utf8_lossy(&answer);
        ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        Ok(took)
    });
    asked.await?
}

async fn warm(binary: &Path, component: &[u8]) -> Result<()> {
    let platform = Platform::start(binary).await?;
    platform.environment("wasm", "fission/wasm-env", POOL).await?;
    platform.environment("node", "fission/node-env", POOL).await?;
    let code = Deployment::literal(component);
    platform.function("reused", "wasm", &code, 1000).await?;
    platform.annotated("fresh", "wasm", &code, 1000, &[("fission.io/requests-per-store", "1")]).await?;
    let node = Deployment::literal(&std::fs::read(example("nodejs/hello.js"))?);
    platform.function("node", "node", &node, 1000).await?;
    for path in ["/reused", "/fresh", "/node"] {
        call(&platform, path).await?;
    }
    for (what, path) in [
        ("Rust, stores reused", "/reused"),
        ("Rust, a fresh store each", "/fresh"),
        ("Node.js, for comparison", "/node"),
    ] {
        let alone = closed_loop(platform.place(), path, 1, ROUND).await?;
        row(&format!("warm {what}, 1 connection"), &Samples::new(alone), "");
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let before = platform.process.cpu()?;
            #[allow(clippy::cast_precision_loss)]
            let answers = closed_loop(platform.place(), path, 16, ROUND).await?.len() as f64;
            let spent = platform.process.cpu()?.saturating_sub(before).as_secs_f64();
            rates.push(answers / ROUND.as_secs_f64());
            costs.push(spent / answers);
        }
        let (rate, cost) = (median(rates), median(costs));
        let note = format!(
            "{:.1} us CPU of the platform and its instances a request: {:.0}/s per core",
            cost * 1e6,
            1.0 / cost
        );
        figure(&format!("warm {what}, 16 connections"), ROUNDS, &format!("{rate:.0}/s"), &note);
    }
    Ok(())
}

async fn idle(binary: &Path, component: &[u8]) -> Result<()> {
    let platform = Platform::start(binary).await?;
    platform.environment("wasm", "fission/wasm-env", POOL).await?;
    let code = Deployment::literal(component);
    for n in 0..IDLE {
        platform.function(&format!("idle-{n}"), "wasm", &code, 2).await?;
    }
    // The first one brings what all of them share.
    call(&platform, "/idle-0").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = platform.process.resident_kib()?;
    calls(&platform, "idle", IDLE).await?;
    tokio::time::sleep(SETTLED).await;
    let grown = platform.process.resident_kib()?.saturating_sub(before);
    #[allow(clippy::cast_precision_loss)]
    let each = grown as f64 / IDLE as f64;
    let note =
        format!("growth of the platform's process over their first calls, {} s after the last", SETTLED.as_secs());
    figure("memory of an idle instance", IDLE, &format!("{each:.1} KiB"), &note);
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
