//! Creation to first answer, the idle platform, and ten thousand functions.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::Connection;
use crate::platform::{Deployment, Platform, fission_path};
use crate::stats::{Samples, figure, heading, row};

/// Warm instances a pool has when a function is created.
const POOL: usize = 3;
/// Functions created and called through the CLI.
const CREATIONS: usize = 30;
/// Functions registered in the scale measurement.
const FUNCTIONS: usize = 10_000;
/// Functions registered at once.
const WRITERS: usize = 64;

const NODE: &[u8] = b"module.exports = async (context) => ({ status: 200, body: 'hello' });";

/// `fission function create`, `fission route create` and the first answer, CLI included.
pub(crate) async fn creation(binary: &Path) -> Result<()> {
    let platform = Platform::start(binary).await?;
    heading("From source file to first answer, two CLI commands included");
    platform.environment("node", "fission/node-env", POOL).await?;
    let source = platform.folder.path().join("hello.js");
    std::fs::write(&source, "module.exports = async () => ({ status: 200, body: 'hello' });\n")?;
    let mut samples = Vec::new();
    for n in 0..CREATIONS {
        platform.pool_is_full("node", POOL).await?;
        let (name, url) = (format!("made-{n}"), format!("/made-{n}"));
        let code = source.to_string_lossy().into_owned();
        let start = Instant::now();
        cli(&platform, &["function", "create", "--name", &name, "--env", "node", "--code", &code])?;
        cli(&platform, &["route", "create", "--name", &name, "--method", "GET", "--url", &url, "--function", &name])?;
        loop {
            let answer = Connection::open(platform.router).await?.get(&url).await?;
            if answer.status == 200 {
                break;
            }
            ensure!(answer.status == 404, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        samples.push(start.elapsed());
    }
    row("create, route, first 200", &Samples::new(samples), "");
    Ok(())
}

/// Resident memory and start time of a platform with two full pools and nothing to do.
pub(crate) async fn idle(binary: &Path) -> Result<()> {
    heading("The platform idle");
    let platform = Platform::start(binary).await?;
    platform.environment("node", "fission/node-env", POOL).await?;
    platform.environment("python", "fission/python-env", POOL).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mib = platform.process.resident_kib()? / 1024;
    figure("resident memory of the platform's own process", 1, &format!("{mib} MiB"), "both pools of 3 filled");
    let mut starts = Vec::new();
    for _ in 0..10 {
        starts.push(Platform::start(binary).await?.ready_after);
    }
    row("start to ready, new folder, environments prepared before", &Samples::new(starts), "");
    Ok(())
}

/// Memory of ten thousand functions and routes, none called.
pub(crate) async fn scale(binary: &Path, image: &str) -> Result<()> {
    heading(&format!("Ten thousand functions and routes of {image}"));
    let platform = Platform::start(binary).await?;
    platform.environment("node", image, 0).await?;
    platform.function("first", "node", &Deployment::literal(NODE), 1).await?;
    settle().await;
    let before = platform.process.resident_kib()?;
    let start = Instant::now();
    let platform = std::sync::Arc::new(platform);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let platform = platform.clone();
            tokio::spawn(async move {
                for n in (writer..FUNCTIONS).step_by(WRITERS) {
                    platform.function(&format!("idle-{n}"), "node", &Deployment::literal(NODE), 1).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let took = start.elapsed();
    let routes = platform.read(&format!("{}?limit=1", fission_path("httptriggers"))).await?;
    let last = format!("/idle-{}", FUNCTIONS - 1);
    while Connection::open(platform.router).await?.get(&last).await?.status == 404 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = platform.process.resident_kib()?.saturating_sub(before);
    #[allow(clippy::cast_precision_loss)]
    let each = grown as f64 / FUNCTIONS as f64;
    let rest = &routes["metadata"]["remainingItemCount"];
    figure(
        "memory per idle function with package and route",
        FUNCTIONS,
        &format!("{each:.1} KiB"),
        &format!("{rest} more routes listed"),
    );
    #[allow(clippy::cast_precision_loss)]
    let rate = (FUNCTIONS * 3) as f64 / took.as_secs_f64();
    figure(
        "objects created through the API",
        FUNCTIONS * 3,
        &format!("{rate:.0}/s"),
        "64 writers over HTTP, each write durable",
    );
    Ok(())
}

fn cli(platform: &Platform, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(&platform.binary);
    command.args(arguments).env("FISSION_DATA", platform.folder.path()).env("FISSION_URL", &platform.api);
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Lets what a pool refill started come to rest, so that a cold start is not measured against its neighbour's birth.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}
