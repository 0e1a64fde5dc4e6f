//! What only the php environment does.

use crate::world::{PHP, Server, eventually, request};

#[tokio::test]
async fn a_script_without_a_function_answers_with_what_it_prints() {
    for entry in ["", "script.php"] {
        let server = Server::with(PHP, &PHP.file("script.php"), entry).await;
        for (path, expected) in [
            ("/", "<html>Hello, world</html>\n"),
            ("/?name=Ada", "<html>Hello, Ada</html>\n"),
            ("/?exit=1", "<html>Hello, world!"),
        ] {
            let answer = server.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, expected), "{entry} {path}");
        }
    }
}

#[tokio::test]
async fn a_script_that_declares_nothing_keeps_its_process_and_starts_afresh() {
    let server = Server::with(PHP, &PHP.file("plain.php"), "").await;
    let mut processes = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let answer = server.get("/").await.text();
        assert!(answer.starts_with("1 "), "{answer}");
        processes.insert(answer);
    }
    assert!(processes.len() < 5, "{processes:?}");
}

#[tokio::test]
async fn a_function_that_exits_or_dies_fails_its_own_request_only() {
    let server = Server::with(PHP, &PHP.file("exits.php"), "").await;
    for (path, reason) in [("/", "called exit"), ("/?fatal=1", "Allowed memory size"), ("/", "called exit")] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "Internal server error"), "{path}");
        eventually(reason, || server.log("stderr").contains(reason)).await;
    }
}

#[tokio::test]
async fn an_error_that_cannot_be_caught_is_told_with_file_and_line_and_spoils_nothing() {
    let server = Server::start(PHP).await;
    let answer = server.specialize(&PHP.file("fatal.php"), "").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("fatal.php:7") && answer.text().contains("Countable"), "{}", answer.text());
    assert!(server.specialize(&PHP.function("unicode"), "").await.status.is_success());
}

#[tokio::test]
async fn a_killed_worker_takes_only_its_own_request_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("deployarchive");
    std::fs::write(&code, "<?php function handler($c) { isset($_GET['die']) && posix_kill(getmypid(), SIGKILL); }")
        .unwrap();
    let server = Server::with(PHP, &code, "").await;
    assert_eq!(server.exchange("GET /?die=1 HTTP/1.1\r\nHost: f\r\n\r\n").await, "");
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test]
async fn the_logger_and_warnings_write_lines_with_the_id_of_the_request() {
    let server = Server::with(PHP, &PHP.file("monolog.php"), "handler").await;
    server.send(request("GET", "/").header("x-fission-request-id", "r1"), "").await;
    eventually("the message", || {
        let line = server.log("stdout");
        line.starts_with("\x1er1\x1e[") && line.contains("Function.WARNING: low on memory {\"what\":\"memory\"}")
    })
    .await;
    eventually("the warning", || server.log("stderr").starts_with("\x1er1\x1ePHP Warning: Undefined variable")).await;
}
