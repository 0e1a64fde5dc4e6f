//! What was printed is found again: after restarts, crashes and damage, and within the limits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use fission_rpc::logs::{LogOwner, Stream};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::*;

fn owner(function: &str, instance: &str) -> LogOwner {
    LogOwner {
        namespace: "default".into(),
        function: function.into(),
        instance: instance.into(),
        environment: "nodejs".into(),
    }
}

fn line(function: &str, text: &str) -> LogLine {
    LogLine {
        id: 0,
        time: crate::capture::microseconds(Timestamp::now()),
        owner: owner(function, "i-1"),
        stream: Stream::Stdout,
        request_id: None,
        text: text.into(),
    }
}

fn put(store: &LogStore, lines: Vec<LogLine>) {
    assert!(lines.iter().all(|line| store.reserve(line)));
    store.enqueue(lines);
}

async fn print(store: &LogStore, function: &str, texts: &[&str]) {
    put(store, texts.iter().map(|text| line(function, text)).collect());
    store.flush().await;
}

async fn texts(store: &LogStore, query: LogQuery) -> Vec<String> {
    store.query(query).await.unwrap().into_iter().map(|line| line.text).collect()
}

fn of(function: &str) -> LogQuery {
    LogQuery { function: Some(function.into()), ..LogQuery::default() }
}

fn open(dir: &Path) -> LogStore {
    LogStore::open(dir, Options::default()).unwrap()
}

/// Closes a store and waits until its writer has let go of the files.
async fn close(store: LogStore) {
    let shared = Arc::downgrade(&store.shared);
    drop(store);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while shared.strong_count() > 0 {
        assert!(std::time::Instant::now() < deadline, "the writer must end with its store");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_restart_keeps_all_lines_and_ids_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    print(&store, "hello", &["one", "two"]).await;
    close(store).await;
    let store = open(dir.path());
    print(&store, "hello", &["three"]).await;
    let lines = store.query(of("hello")).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(lines.iter().map(|line| line.id).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn lines_come_back_exactly_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut wanted = line("hello", "nul \0 and \u{1f980}\t");
    wanted.stream = Stream::Stderr;
    wanted.request_id = Some("r-1".into());
    put(&store, vec![wanted.clone()]);
    store.flush().await;
    wanted.id = 1;
    assert_eq!(store.query(LogQuery::default()).await.unwrap(), [wanted]);
}

#[tokio::test]
async fn every_filter_selects() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut other = line("other", "other");
    other.owner =
        LogOwner { namespace: "prod".into(), instance: "i-2".into(), environment: "python".into(), ..other.owner };
    other.request_id = Some("r-2".into());
    let mut old = line("hello", "old");
    old.time = Timestamp::now() - SignedDuration::from_hours(1);
    put(&store, vec![old, line("hello", "new"), other]);
    store.flush().await;
    let some = |value: &str| Some(value.to_owned());
    let minute_ago = Timestamp::now() - SignedDuration::from_mins(1);
    for (query, wanted) in [
        (LogQuery::default(), vec!["old", "new", "other"]),
        (LogQuery { namespace: "prod".into(), ..LogQuery::default() }, vec!["other"]),
        (of("hello"), vec!["old", "new"]),
        (LogQuery { instance: some("i-2"), ..LogQuery::default() }, vec!["other"]),
        (LogQuery { environment: some("nodejs"), ..LogQuery::default() }, vec!["old", "new"]),
        (LogQuery { request_id: some("r-2"), ..LogQuery::default() }, vec!["other"]),
        (LogQuery { since: Some(minute_ago), ..LogQuery::default() }, vec!["new", "other"]),
        (LogQuery { after: Some(1), ..LogQuery::default() }, vec!["new", "other"]),
        (LogQuery { limit: Some(2), ..LogQuery::default() }, vec!["new", "other"]),
        (LogQuery { limit: Some(1), ..of("hello") }, vec!["new"]),
        (LogQuery { limit: Some(0), ..LogQuery::default() }, vec![]),
        (of("'; DROP TABLE line; --"), vec![]),
    ] {
        assert_eq!(texts(&store, query.clone()).await, wanted, "{query:?}");
    }
}

#[tokio::test]
async fn queries_span_segments() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1, ..Options::default() };
    let store = LogStore::open(dir.path(), options).unwrap();
    for n in 0..5 {
        print(&store, "hello", &[&n.to_string()]).await;
    }
    assert!(segments(dir.path()) >= 4);
    assert_eq!(texts(&store, of("hello")).await, ["0", "1", "2", "3", "4"]);
    assert_eq!(texts(&store, LogQuery { limit: Some(3), ..of("hello") }).await, ["2", "3", "4"]);
    assert_eq!(texts(&store, LogQuery { after: Some(3), ..of("hello") }).await, ["3", "4"]);
    let next = store.shared.clone().next_after(of("hello"), 1, 2).await.unwrap();
    assert_eq!(next.iter().map(|line| line.id).collect::<Vec<_>>(), [2, 3]);
}

fn segments(dir: &Path) -> usize {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|it| it == "db")).count()
}

#[tokio::test]
async fn the_oldest_lines_go_when_there_are_too_many_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 1 << 20, ..Options::default() };
    let store = LogStore::open(dir.path(), options).unwrap();
    let text = "x".repeat(10_000);
    for n in 0..40 {
        let texts: Vec<_> = (0..10).map(|_| format!("{n} {text}")).collect();
        print(&store, "hello", &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    // The limit is looked at when a segment is full; until then the newest may be on top of it.
    let bytes = store.shared.folder.bytes();
    assert!(bytes <= (1 << 20) + (1 << 19), "{bytes} bytes are kept");
    let left = texts(&store, of("hello")).await;
    assert!(left.len() >= 20 && left.last().unwrap().starts_with("39 "), "{} lines are left", left.len());
    assert!(!left[0].starts_with("0 "));
}

#[tokio::test]
async fn old_segments_go_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1, ..Options::default() };
    let store = LogStore::open(dir.path(), options).unwrap();
    for text in ["one", "two", "three"] {
        print(&store, "hello", &[text]).await;
    }
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    store.shared.folder.keep_within(u64::MAX, Duration::from_secs(3600), tomorrow);
    assert_eq!(texts(&store, of("hello")).await, ["three"]);
    assert_eq!(segments(dir.path()), 1);
}

#[tokio::test]
async fn a_damaged_segment_costs_its_own_lines_only() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1, ..Options::default() };
    let store = LogStore::open(dir.path(), options).unwrap();
    for text in ["one", "two", "three"] {
        print(&store, "hello", &[text]).await;
    }
    close(store).await;
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    fs::write(&files[1], "this is no database at all").unwrap();
    fs::write(&files[2], vec![0xab; 5000]).unwrap();
    let store = LogStore::open(dir.path(), options).unwrap();
    assert_eq!(texts(&store, of("hello")).await, ["one"]);
    print(&store, "hello", &["four"]).await;
    let lines = store.query(of("hello")).await.unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].id > 3, "an id that may have been seen is not given again");
    let set_aside = fs::read_dir(dir.path())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == "damaged"));
    assert_eq!(set_aside.count(), 2);
}

#[tokio::test]
async fn a_segment_damaged_while_it_is_written_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    print(&store, "hello", &["lost"]).await;
    for file in fs::read_dir(dir.path()).unwrap() {
        // The journal first: what is in it would hide the damage.
        fs::write(file.unwrap().path(), vec![0xab; 50_000]).unwrap();
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !texts(&store, of("hello")).await.contains(&"kept".to_owned()) {
        assert!(std::time::Instant::now() < deadline, "lines must be kept again");
        print(&store, "hello", &["kept"]).await;
    }
}

#[tokio::test]
async fn a_follower_sees_backlog_and_live_lines_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    print(&store, "hello", &["0", "1", "2"]).await;
    let followers: Vec<_> = (0..4).map(|_| store.follow(of("hello"))).collect();
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for n in 3..1000 {
            put(&writer, vec![line("hello", &n.to_string()), line("other", "noise")]);
            if n % 50 == 0 {
                writer.flush().await;
            }
        }
    });
    for follower in followers {
        let seen: Vec<_> = follower.take(1000).map(|line| line.unwrap().text).collect().await;
        assert_eq!(seen, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_follower_that_reads_slowly_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut follower = store.follow(LogQuery { limit: Some(0), ..of("hello") });
    print(&store, "hello", &["0"]).await;
    assert_eq!(follower.next().await.unwrap().unwrap().text, "0");
    let commits = COMMITS_BEHIND * 2;
    for n in 1..=commits {
        print(&store, "hello", &[&n.to_string()]).await;
    }
    let seen: Vec<_> = follower.take(commits).map(|line| line.unwrap().text).collect().await;
    assert_eq!(seen, (1..=commits).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Folder the child of the next test works in; its presence makes the test the child.
const CHILD_DIR: &str = "killed-writer";

/// Acknowledged means flushed: the child says a number only after all lines up to it are on disk.
#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_line() {
    if Path::new(CHILD_DIR).is_dir() {
        return write_until_killed(Path::new(CHILD_DIR)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(CHILD_DIR)).unwrap();
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "store::tests::a_killed_process_loses_no_acknowledged_line"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..round * 7 {
            acknowledged = said.next().unwrap().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = said.filter_map(|line| line.ok()?.parse().ok()).last().unwrap_or(acknowledged);
        let store = open(&dir.path().join(CHILD_DIR));
        let lines = store.query(LogQuery { limit: Some(MAX_LIMIT), ..of("hello") }).await.unwrap();
        assert!(lines.len() as i64 >= acknowledged, "{} lines, {acknowledged} acknowledged", lines.len());
        assert!(lines.iter().enumerate().all(|(n, line)| line.id == n as i64 + 1));
        close(store).await;
    }
}

async fn write_until_killed(dir: &Path) {
    let store = LogStore::open(dir, Options { flush_interval: Duration::ZERO, ..Options::default() }).unwrap();
    loop {
        put(&store, (0..10).map(|_| line("hello", "text")).collect());
        store.flush().await;
        // stderr is the one output the test harness leaves alone.
        eprintln!("{}", store.shared.last_id());
    }
}

/// Folder the child of the next test works in; its presence makes the test the child.
const FULL_DIR: &str = "full-disk";

#[tokio::test]
async fn lines_that_do_not_fit_on_the_disk_are_counted_when_there_is_room_again() {
    let child = Path::new(FULL_DIR);
    if child.is_dir() {
        let store = open(child);
        let text = "x".repeat(1000);
        print(&store, "hello", &["before"]).await;
        print(&store, "hello", &[text.as_str(); 400]).await;
        print(&store, "hello", &["after"]).await;
        let lines = texts(&store, of("hello")).await;
        assert_eq!((lines.len(), lines[0].as_str(), lines[2].as_str()), (3, "before", "after"), "{lines:?}");
        assert!(lines[1].starts_with("[fission] 400 lines were lost here"), "{}", lines[1]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(FULL_DIR)).unwrap();
    let test = "store::tests::lines_that_do_not_fit_on_the_disk_are_counted_when_there_is_room_again";
    // A process that may only write small files fails as on a full disk, and again succeeds with what is small.
    let output = Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; ulimit -f 400; exec \"$0\" --exact {test}")])
        .arg(std::env::current_exe().unwrap())
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
