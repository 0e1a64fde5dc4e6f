//! Bodies that are large or come piece by piece.

use futures_util::StreamExt;

use crate::world::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_arrive_one_by_one() {
    let platform = Platform::start();
    let source = "const { Readable } = require('stream');
module.exports = async () => {
  const body = new Readable({ read() {} });
  let n = 0;
  const timer = setInterval(() => { body.push(`data: ${n}\\n\\n`); if (++n === 3) { clearInterval(timer); body.push(null); } }, 200);
  return { status: 200, body, headers: { 'Content-Type': 'text/event-stream' } };
};";
    platform.deploy("fission/node-env", "events", "events.js", source);
    let response = platform.request(reqwest::Method::GET, "/events", "").await;
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await {
        pieces.push(String::from_utf8(piece.unwrap().to_vec()).unwrap());
    }
    assert_eq!(pieces, ["data: 0\n\n", "data: 1\n\n", "data: 2\n\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_through_without_being_kept() {
    let platform = Platform::start();
    // `cat` answers as it reads: both directions stream at once.
    platform.deploy("fission/binary-env", "cat", "cat.sh", "#!/bin/sh\nexec cat\n");
    assert_eq!(platform.request(reqwest::Method::POST, "/cat", "x").await.text().await.unwrap(), "x");
    const MEBIBYTES: usize = 200;
    let before = resident_kib(platform.pid());
    let piece = bytes::Bytes::from(vec![b'z'; 1 << 20]);
    let body = futures_util::stream::iter((0..MEBIBYTES).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let request = platform.http().post(format!("{}/cat", platform.router)).body(reqwest::Body::wrap_stream(body));
    let mut answer = request.send().await.unwrap().bytes_stream();
    let mut size = 0;
    while let Some(piece) = answer.next().await {
        size += piece.unwrap().len();
    }
    assert_eq!(size, MEBIBYTES << 20);
    let grown = resident_kib(platform.pid()).saturating_sub(before);
    assert!(grown < 50 * 1024, "the platform grew by {grown} KiB for a body of {MEBIBYTES} MiB");
}

fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
