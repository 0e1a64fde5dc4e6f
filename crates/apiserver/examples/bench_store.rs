//! How many durable creates a second, and how long until a watcher hears of one.
//!
//! `cargo run --release -p fission-apiserver --example bench_store [-- FOLDER]`. The folder decides which disk is measured.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fission_api::Function;
use fission_apiserver::{ApiServer, Options, Storage};
use futures_util::{StreamExt, pin_mut};
use kube::Api;
use kube::api::{PostParams, WatchEvent, WatchParams};
use serde_json::json;

/// Writers at once.
const WRITERS: u64 = 64;
/// How long they write.
const WRITING: Duration = Duration::from_secs(5);
/// Creates whose way to a watcher is timed, one after another.
const TIMED: usize = 1_000;
/// Functions listed for the memory figure.
const IDLE: usize = 10_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("fission-bench-store"), Into::into);
    let _ = std::fs::remove_dir_all(&folder);
    let server = ApiServer::open(Options::new(Storage::Disk(folder.clone()), "bench"))?;
    let api: Api<Function> = Api::default_namespaced(server.client("default"));
    println!("| figure | n | value |\n|---|---|---|");
    memory(&api).await?;
    creates(&api).await?;
    watch_latency(&api, false).await?;
    watch_latency(&api, true).await?;
    let started = Instant::now();
    server.shutdown().await;
    let reopened = ApiServer::open(Options::new(Storage::Disk(folder.clone()), "bench"))?;
    let n =
        Api::<Function>::default_namespaced(reopened.client("default")).list(&Default::default()).await?.items.len();
    println!("| shut down, open again and list | {n} | {} ms |", started.elapsed().as_millis());
    reopened.shutdown().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn function(name: &str) -> Result<Function, serde_json::Error> {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "environment": { "name": "nodejs", "namespace": "default" },
            "package": { "packageref": { "name": name, "namespace": "default" } },
            "InvokeStrategy": { "ExecutionStrategy": { "ExecutorType": "poolmgr" }, "StrategyType": "execution" },
        },
    }))
}

async fn create_all(api: &Api<Function>, prefix: &str, count: usize) -> Result<(), Failure> {
    let names = (0..count).map(|at| format!("{prefix}-{at}"));
    let mut made = futures_util::stream::iter(names)
        .map(|name| async move { api.create(&PostParams::default(), &function(&name)?).await.map_err(Failure::from) })
        .buffer_unordered(128);
    while let Some(made) = made.next().await {
        made?;
    }
    Ok(())
}

async fn memory(api: &Api<Function>) -> Result<(), Failure> {
    let before = resident()?;
    create_all(api, "idle", IDLE).await?;
    let per_function = resident()?.saturating_sub(before) / IDLE as u64;
    println!("| resident memory per stored function, ring of changes included | {IDLE} | {per_function} bytes |");
    Ok(())
}

/// Resident bytes of this process, from `/proc/self/statm` (pages of 4 KiB).
fn resident() -> Result<u64, Failure> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    Ok(statm.split(' ').nth(1).unwrap_or("0").parse::<u64>()? * 4096)
}

async fn creates(api: &Api<Function>) -> Result<(), Failure> {
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (api, done) = (api.clone(), done.clone());
            tokio::spawn(async move {
                while started.elapsed() < WRITING {
                    let at = done.fetch_add(1, Ordering::Relaxed);
                    api.create(&PostParams::default(), &function(&format!("w{writer}-{at}"))?).await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let n = done.load(Ordering::Relaxed);
    let rate = n as f64 / started.elapsed().as_secs_f64();
    println!("| durable creates a second, {WRITERS} writers | {n} | {rate:.0} |");
    Ok(())
}

/// From just before the create is sent, and from its acknowledgement, to the watcher's event.
async fn watch_latency(api: &Api<Function>, from_acknowledgement: bool) -> Result<(), Failure> {
    let version = api.list_metadata(&kube::api::ListParams::default().limit(1)).await?.metadata.resource_version;
    let stream = api.watch(&WatchParams::default(), version.as_deref().unwrap_or("0")).await?;
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        pin_mut!(stream);
        while let Some(Ok(WatchEvent::Added(_))) = stream.next().await {
            if heard.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let mut times = Vec::with_capacity(TIMED);
    for at in 0..TIMED {
        let function = function(&format!("t{from_acknowledgement}-{at}"))?;
        let mut since = Instant::now();
        api.create(&PostParams::default(), &function).await?;
        if from_acknowledgement {
            since = Instant::now();
        }
        let event = hears.recv().await.ok_or("the watch ended")?;
        times.push(event.saturating_duration_since(since));
    }
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_micros();
    let what = if from_acknowledgement { "after its acknowledgement" } else { "after its create was sent" };
    println!("| watch event {what}, p50 / p99 | {} | {} / {} us |", times.len(), at(50), at(99));
    Ok(())
}
