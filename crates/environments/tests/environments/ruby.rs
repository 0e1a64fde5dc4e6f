//! What only the ruby environment does.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{RUBY, Server, eventually, read_until, request};

#[tokio::test]
async fn a_function_may_answer_as_rack_allows_and_is_told_when_it_does_not() {
    let server = Server::with(RUBY, &RUBY.file("forms.rb"), "").await;
    let answer = server.get("/?form=response").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, "made"));
    assert_eq!(answer.headers["x-answer"], "yes");
    let answer = server.get("/?form=headers").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (203, "text"));
    assert!(answer.headers.get_all("set-cookie").iter().eq(["a=1", "b=2"]), "{:?}", answer.headers);
    assert_eq!(server.get("/").await.status, 500);
    eventually("what it returned", || server.log("stderr").contains("the function returned NilClass")).await;
}

#[tokio::test]
async fn whatever_a_function_does_fails_its_own_request_only() {
    let server = Server::with(RUBY, &RUBY.file("forms.rb"), "").await;
    for (form, reason) in [("exit", "(SystemExit)"), ("deep", "(SystemStackError)")] {
        let answer = server.get(&format!("/?form={form}")).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "Internal server error"), "{form}");
        eventually(reason, || server.log("stderr").contains(reason)).await;
    }
    // More than there are threads: those that are gone are replaced.
    for _ in 0..20 {
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
    let server = Server::with(RUBY, &RUBY.file("forms.rb"), "").await;
    let mut stream = server.connect().await;
    let head = "GET /?form=halfway HTTP/1.1\r\nHost: f\r\nX-Fission-Request-ID: r1\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("5\r\nfirst\r\n"), "{answer}");
    eventually("the reason", || {
        let line = server.log("stderr");
        line.starts_with("\x1er1\x1e") && line.contains("forms.rb:5") && line.contains("broke off (RuntimeError)")
    })
    .await;
    eventually("the logger", || server.log("stdout").starts_with("\x1er1\x1eW, [")).await;
    eventually("the end of the body", || server.log("stdout").ends_with("\x1er1\x1eclosed\n")).await;
}

#[tokio::test]
async fn parameters_come_from_query_form_and_path_and_headers_are_found_in_any_case() {
    let server = Server::with(RUBY, &RUBY.file("forms.rb"), "parameters").await;
    let head = request("POST", "/?b=2")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-fission-params-name", "Ada")
        .header("x-test", "tested");
    let expected = r#"[["a", "1"], ["b", "2"], ["name", "Ada"]] tested application/x-www-form-urlencoded"#;
    assert_eq!(server.send(head, "a=1").await.text(), expected);
}

#[tokio::test]
async fn a_method_takes_the_context_or_nothing() {
    let server = Server::with(RUBY, &RUBY.file("forms.rb"), "anything").await;
    assert_eq!(server.get("/").await.text(), "1");
    let server = Server::start(RUBY).await;
    let answer = server.specialize(&RUBY.file("forms.rb"), "two").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("it takes 2"), "{}", answer.text());
}

#[tokio::test]
async fn what_code_defined_before_it_failed_to_load_is_taken_back() {
    let server = Server::start(RUBY).await;
    let answer = server.specialize(&RUBY.file("undone"), "left_over").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("b.rb:1") && answer.text().contains("b is not ready"), "{}", answer.text());
    assert!(!answer.text().contains("load.rb"), "nothing of ours: {}", answer.text());
    let answer = server.specialize(&RUBY.function("unicode"), "left_over").await;
    assert!(answer.text().ends_with("it has handler"), "{}", answer.text());
}

#[tokio::test]
async fn a_gem_is_loaded_from_where_its_specification_says() {
    let server = Server::with(RUBY, &RUBY.file("gems"), "").await;
    assert_eq!(server.get("/").await.text(), "not in lib");
}

#[tokio::test]
async fn more_connections_than_threads_are_kept_and_idle_ones_hold_up_none() {
    let server = Server::with(RUBY, &RUBY.function("unicode"), "").await;
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
    // Puma left to itself keeps a thread for 0.2 s at each of them.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
