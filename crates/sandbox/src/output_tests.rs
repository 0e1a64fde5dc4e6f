//! Tests of the outputs of an instance.

use std::io::Write;
use std::sync::Mutex;

use fission_rpc::logs::LogPipe;

use super::*;

#[derive(Default)]
struct Captured(Mutex<Option<(LogOwner, LogPipe)>>);

impl LogSink for Captured {
    fn capture(&self, owner: Arc<dyn Fn() -> LogOwner + Send + Sync>, stdout: LogPipe, _: LogPipe) {
        *self.0.lock().unwrap() = Some((owner(), stdout));
    }
}

#[test]
fn the_last_lines_are_shown_and_still_reach_the_log_store() {
    let (outputs, [out, err]) = Outputs::make().unwrap();
    assert_eq!(outputs.last_lines(), "");
    let (mut out, mut err) = (File::from(out), File::from(err));
    out.write_all((0..20).map(|n| format!("line {n}\n")).collect::<String>().as_bytes()).unwrap();
    err.write_all(b"boom\n\n").unwrap();
    let shown = outputs.last_lines();
    assert!(shown.ends_with("line 19\nboom") && !shown.contains("line 1\n"), "{shown}");
    drop((out, err));
    let sink = Captured::default();
    let owner = LogOwner { instance: "i".to_owned(), ..LogOwner::default() };
    outputs.hand_over(&sink, Arc::new(RwLock::new(owner)));
    let (owner, stdout) = sink.0.lock().unwrap().take().unwrap();
    let mut text = String::new();
    File::from(stdout).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("line 0\n") && owner.instance == "i");
}

#[test]
fn an_output_that_fills_up_is_noticed() {
    let (outputs, [out, _err]) = Outputs::make().unwrap();
    assert!(!outputs.nearly_full());
    File::from(out).write_all(&vec![b'x'; 40_000]).unwrap();
    assert!(outputs.nearly_full());
}
