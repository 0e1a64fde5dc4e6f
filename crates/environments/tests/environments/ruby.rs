//! What only the ruby environment does.

use crate::world::{RUBY, Server, eventually, request};

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
        assert_eq!(server.exchange("GET /?form=kill HTTP/1.1\r\nHost: f\r\n\r\n").await, "");
    }
    assert_eq!(server.get("/?form=response").await.status, 202);
}

#[tokio::test]
async fn an_answer_that_fails_halfway_is_broken_off_and_its_lines_carry_the_id_of_the_request() {
    let server = Server::with(RUBY, &RUBY.file("forms.rb"), "").await;
    let answer = server.exchange("GET /?form=halfway HTTP/1.1\r\nHost: f\r\nX-Fission-Request-ID: r1\r\n\r\n").await;
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
