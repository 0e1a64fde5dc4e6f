//! What only the perl environment does.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{PERL, Server, eventually, read_until, request};

#[tokio::test]
async fn a_function_may_answer_as_dancer_and_psgi_allow_and_is_told_when_it_does_not() {
    let server = Server::with(PERL, &PERL.file("forms.pl"), "").await;
    let answer = server.get("/?form=response").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, "made"));
    assert_eq!(answer.headers["x-answer"], "yes");
    let answer = server.get("/?form=headers").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (203, "text"));
    assert!(answer.headers.get_all("set-cookie").iter().eq(["a=1", "b=2"]), "{:?}", answer.headers);
    let answer = server.get("/?form=error").await;
    assert!(answer.status == 404 && answer.text().contains("no such thing"), "{}", answer.text());
    let answer = server.get("/?form=redirect").await;
    assert!(answer.status == 302 && answer.headers["location"].to_str().unwrap().ends_with("/elsewhere"));
    assert_eq!(server.get("/?form=hash").await.status, 500);
    eventually("what it returned", || server.log("stderr").contains("the function returned HASH")).await;
    eventually("Dancer's log", || server.log("stderr").contains("warning low on memory")).await;
}

#[tokio::test]
async fn whatever_a_function_does_fails_its_own_request_only() {
    let server = Server::with(PERL, &PERL.file("forms.pl"), "").await;
    let answer = server.get("/?form=exit").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "Internal server error"));
    eventually("the reason", || server.log("stderr").contains("the code called exit")).await;
    assert_eq!(server.get("/?form=fork").await.text(), "ended with 0", "a child's exit is its own");
    // More than there are workers: those that are gone are replaced.
    for _ in 0..40 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /?form=kill HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.get("/?form=response").await.status, 202);
}

#[tokio::test]
async fn an_answer_that_fails_halfway_is_broken_off_and_its_lines_carry_the_id_of_the_request() {
    let server = Server::with(PERL, &PERL.file("forms.pl"), "").await;
    let mut stream = server.connect().await;
    let head = "GET /?form=halfway HTTP/1.1\r\nHost: f\r\nX-Fission-Request-ID: r1\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("5\r\nfirst\r\n"), "{answer}");
    eventually("the reason", || server.log("stderr").contains("\x1er1\x1ebroke off at ")).await;
    eventually("its place", || server.log("stderr").contains("forms.pl line 8.")).await;
    eventually("Dancer's log", || server.log("stderr").contains("\x1er1\x1ewarning low on memory\n")).await;
}

#[tokio::test]
async fn parameters_come_from_query_and_form_and_those_of_the_path_in_headers() {
    let server = Server::with(PERL, &PERL.file("forms.pl"), "").await;
    let head = request("POST", "/?b=2")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-fission-params-name", "Ada");
    assert_eq!(server.send(head, "a=1").await.text(), "1 2 Ada 2");
}

#[tokio::test]
async fn what_code_sets_for_dancer_holds_for_its_requests() {
    let server = Server::with(PERL, &PERL.file("json.pl"), "").await;
    let head = request("POST", "/").header("content-type", "application/json");
    let answer = server.send(head, r#"{"text":"Gr\u00fc\u00dfe"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{\"seen\":\"Gr\u{fc}\u{df}e\"}"));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_file_that_ends_with_no_function_is_refused_and_leaves_nothing_behind() {
    let server = Server::start(PERL).await;
    let answer = server.specialize(&PERL.file("value.pl"), "").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("its last value must be a sub"), "{}", answer.text());
    let answer = server.specialize(&PERL.file("undone"), "").await;
    assert!(answer.status == 500 && answer.text().contains("main.pl line 4"), "{}", answer.text());
    assert!(!answer.text().contains("Code.pm"), "nothing of ours: {}", answer.text());
    let answer = server.specialize(&PERL.file("left.pl"), "").await;
    assert!(answer.status.is_success(), "{}", answer.text());
    assert_eq!(server.get("/").await.text(), "clean");
}

#[tokio::test]
async fn bodies_in_chunks_and_pipelined_requests_are_understood() {
    let server = Server::with(PERL, &PERL.function("size"), "").await;
    let mut stream = server.connect().await;
    let one = "POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n";
    stream.write_all(format!("{one}GET / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let answers = read_until(&mut stream, "\r\n\r\n0").await;
    assert!(answers.contains("\r\n\r\n7HTTP/1.1 200 OK"), "{answers}");
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = Server::with(PERL, &PERL.function("size"), "").await;
    for request in [
        "hello\r\n\r\n",
        "GET / HTTP/1.1\r\nno header\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn more_connections_than_workers_are_kept_and_idle_ones_hold_up_none() {
    let server = Server::with(PERL, &PERL.function("unicode"), "").await;
    let mut connections = Vec::new();
    for _ in 0..64 {
        connections.push(server.connect().await);
    }
    let started = Instant::now();
    for _ in 0..3 {
        for connection in &mut connections {
            connection.write_all(b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
        }
        for connection in &mut connections {
            read_until(connection, "🌍").await;
        }
    }
    // 32 workers are started meanwhile.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
