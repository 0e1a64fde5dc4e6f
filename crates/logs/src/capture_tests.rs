//! From pipes to lines, and what a flood does.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use fission_rpc::logs::{LogQuery, LogReader};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::*;
use crate::store::Options;

struct Instance {
    stdout: std::io::PipeWriter,
    stderr: std::io::PipeWriter,
    owner: Arc<Mutex<LogOwner>>,
}

fn instance(store: &LogStore) -> Instance {
    let (out, stdout) = std::io::pipe().unwrap();
    let (err, stderr) = std::io::pipe().unwrap();
    let owner = Arc::new(Mutex::new(LogOwner { instance: "i-1".into(), ..LogOwner::default() }));
    let asked = owner.clone();
    store.capture(Arc::new(move || asked.lock().unwrap().clone()), OwnedFd::from(out), OwnedFd::from(err));
    Instance { stdout, stderr, owner }
}

async fn next(lines: &mut BoxStream<'static, Result<LogLine, fission_rpc::logs::LogError>>) -> LogLine {
    tokio::time::timeout(Duration::from_secs(20), lines.next()).await.expect("a line must come").unwrap().unwrap()
}

#[tokio::test]
async fn both_outputs_arrive_with_their_owner_and_request() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    let mut lines = store.follow(LogQuery::default());
    let mut instance = instance(&store);
    instance.stdout.write_all(b"starting\n").unwrap();
    let first = next(&mut lines).await;
    assert_eq!((first.text.as_str(), first.owner.function.as_str(), first.stream), ("starting", "", Stream::Stdout));
    instance.owner.lock().unwrap().function = "hello".into();
    instance.stderr.write_all(b"\x1er-1\x1eoops\n").unwrap();
    let second = next(&mut lines).await;
    assert_eq!(
        (second.text.as_str(), second.owner.function.as_str(), second.stream),
        ("oops", "hello", Stream::Stderr)
    );
    assert_eq!(second.request_id.as_deref(), Some("r-1"));
    instance.stdout.write_all(b"last words").unwrap();
    drop(instance);
    assert_eq!(next(&mut lines).await.text, "last words");
}

#[tokio::test]
async fn text_without_a_line_end_is_shown_while_the_instance_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    let mut lines = store.follow(LogQuery::default());
    let mut instance = instance(&store);
    instance.stdout.write_all(b"no end").unwrap();
    assert_eq!(next(&mut lines).await.text, "no end");
}

#[tokio::test]
async fn a_long_line_is_kept_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options { line_bytes: 1000, ..Options::default() }).unwrap();
    let mut lines = store.follow(LogQuery::default());
    let mut instance = instance(&store);
    instance.stdout.write_all(&[b'x'; 2500]).unwrap();
    instance.stdout.write_all(b"\n").unwrap();
    let mut lengths = Vec::new();
    for _ in 0..3 {
        lengths.push(next(&mut lines).await.text.len());
    }
    assert_eq!(lengths, [1000, 1000, 500]);
}

/// Prints as fast as it may and returns how many lines are kept and how many the notices count.
async fn flood(options: Options, printed: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), options).unwrap();
    let mut lines = store.follow(LogQuery::default());
    let Instance { mut stdout, stderr, owner: _ } = instance(&store);
    let printing = tokio::task::spawn_blocking(move || {
        let chunk = "flood flood flood flood\n".repeat(100);
        (0..printed / 100).for_each(|_| stdout.write_all(chunk.as_bytes()).unwrap());
        drop(stderr);
    });
    let (mut kept, mut counted) = (0, 0);
    while kept + counted < printed {
        let line = next(&mut lines).await;
        match line.text.strip_prefix("[fission] ") {
            Some(notice) => counted += notice.split(' ').next().unwrap().parse::<u64>().unwrap(),
            None => kept += 1,
        }
    }
    printing.await.unwrap();
    (kept, counted)
}

#[tokio::test]
async fn a_flood_loses_lines_and_every_lost_line_is_counted() {
    let options = Options { lines_per_second: 100, burst_lines: 1000, ..Options::default() };
    let (kept, counted) = flood(options, 100_000).await;
    assert_eq!(kept + counted, 100_000);
    assert!((1000..10_000).contains(&kept), "{kept} lines were kept");
}

#[tokio::test]
async fn a_store_that_is_too_slow_loses_lines_and_counts_them() {
    let options = Options {
        queue_bytes: 20_000,
        flush_interval: Duration::from_millis(300),
        burst_lines: u32::MAX,
        ..Options::default()
    };
    let (kept, counted) = flood(options, 10_000).await;
    assert_eq!(kept + counted, 10_000);
    assert!(kept > 0 && counted > 0, "{kept} kept, {counted} counted");
}

#[tokio::test]
async fn quiet_output_is_never_dropped() {
    let (kept, counted) = flood(Options::default(), 10_000).await;
    assert_eq!((kept, counted), (10_000, 0));
}
