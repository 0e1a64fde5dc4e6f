//! What only the perl environment does.

use crate::world::{PERL, Server, eventually, request};

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
        assert_eq!(server.exchange("GET /?form=kill HTTP/1.1\r\nHost: f\r\n\r\n").await, "");
    }
    assert_eq!(server.get("/?form=response").await.status, 202);
}

#[tokio::test]
async fn an_answer_that_fails_halfway_is_broken_off_and_its_lines_carry_the_id_of_the_request() {
    let server = Server::with(PERL, &PERL.file("forms.pl"), "").await;
    let answer = server.exchange("GET /?form=halfway HTTP/1.1\r\nHost: f\r\nX-Fission-Request-ID: r1\r\n\r\n").await;
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
