//! What only the jvm environment does.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::world::{JVM, Server, eventually, request};

#[tokio::test]
async fn a_function_may_answer_in_several_ways_and_is_told_when_it_does_not() {
    let server = Server::with(JVM, &JVM.file("Forms.java"), "").await;
    let answer = server.get("/?form=headers").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (203, "text"));
    assert!(answer.headers.get_all("set-cookie").iter().eq(["a=1", "b=2"]), "{:?}", answer.headers);
    assert_eq!(server.get("/?form=stream").await.text(), "read");
    let answer = server.get("/?form=nothing").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, ""));
    assert_eq!(server.get("/?form=number").await.status, 500);
    eventually("what it returned", || server.log("stderr").contains("the function returned a java.lang.Integer")).await;
}

#[tokio::test]
async fn whatever_a_function_does_fails_its_own_request_only() {
    let server = Server::with(JVM, &JVM.file("Forms.java"), "").await;
    for (form, reason) in [("deep", "java.lang.StackOverflowError"), ("memory", "java.lang.OutOfMemoryError")] {
        let answer = server.get(&format!("/?form={form}")).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "Internal server error"), "{form}");
        eventually(reason, || server.log("stderr").contains(reason)).await;
    }
    assert_eq!(server.get("/?form=stream").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_fails_halfway_is_broken_off_and_its_lines_carry_the_id_of_the_request() {
    let server = Server::with(JVM, &JVM.file("Forms.java"), "").await;
    let answer = server.exchange("GET /?form=halfway HTTP/1.1\r\nHost: f\r\nX-Fission-Request-ID: r1\r\n\r\n").await;
    assert!(answer.ends_with("5\r\nfirst\r\n"), "{answer}");
    let line = "\x1er1\x1ejava.lang.IllegalStateException: broke off\n\x1er1\x1e\tat Forms.";
    eventually("the reason", || server.log("stderr").starts_with(line)).await;
    assert!(!server.log("stderr").contains("io.fission.server"), "nothing of ours: {}", server.log("stderr"));
    eventually("the unfinished line", || server.log("stdout") == "\x1er1\x1eunfinished\n").await;
}

#[tokio::test]
async fn parameters_come_from_query_form_and_path_and_headers_are_found_in_any_case() {
    let server = Server::with(JVM, &JVM.file("Forms.java"), "").await;
    let head = request("POST", "/?b=%C3%BC&b=3")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-fission-params-name", "Ada")
        .header("x-test", "tested");
    assert_eq!(server.send(head, "a=1").await.text(), "{b=[ü, 3], a=[1], name=[Ada]} tested a=1");
}

#[tokio::test]
async fn functions_of_fissions_own_environment_have_springs_types() {
    let server = Server::with(JVM, &JVM.file("spring"), "io.fission.HelloWorld").await;
    let post = |kind: &str| request("POST", "//a?x=1&y=[2]").header("content-type", kind).header("x-test", "tested");
    let seen = |body: Value| json!({"method": "POST", "path": "//a", "query": "x=1&y=[2]", "body": body, "tested": ["tested"]});
    for (kind, body, is) in [
        ("application/json", r#"{"a":[1,true,null]}"#, json!({"a": [1, true, null]})),
        ("text/plain; charset=utf-8", "Grüße", json!("Grüße")),
        ("application/octet-stream", "12345", json!(5)),
        ("application/json", "", Value::Null),
    ] {
        let answer = server.send(post(kind), body).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["x-answer"]), (202, &"yes".parse().unwrap()), "{kind}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), seen(is), "{kind}");
    }
    assert_eq!(server.send(post("application/json"), r#"{"fail":1}"#).await.status, 500);
    eventually("the reason", || server.log("stderr").contains("the reason 1\n\tat io.fission.HelloWorld.call(")).await;
}

#[tokio::test]
async fn a_jar_is_loaded_under_any_name_and_says_which_functions_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = crate::world::runtime(JVM).await;
    let home = Path::new(&runtime.argv[1]).parent().unwrap();
    let mut javac = Command::new("javac");
    let sources = ["Hello.java", "Words.java"].map(|name| JVM.file("folder/words").join(name));
    let compiled = javac.arg("-cp").arg(home.join("fission.jar")).arg("-d").arg(folder.path().join("c")).args(sources);
    assert!(compiled.status().unwrap().success());
    let jar = folder.path().join("deployarchive");
    let mut packed = Command::new("jar");
    assert!(packed.arg("cf").arg(&jar).arg("-C").arg(folder.path().join("c")).arg(".").status().unwrap().success());
    let server = Server::start(JVM).await;
    let answer = server.specialize(&jar, "").await;
    assert!(answer.text().ends_with("there are words.Hello, words.Hello$Deep"), "{}", answer.text());
    let answer = server.specialize(&jar, "words.Hello").await;
    assert!(answer.status.is_success(), "{}", answer.text());
    assert_eq!(server.get("/").await.text(), "from a folder");
}

#[tokio::test]
async fn a_body_that_was_not_read_is_not_taken_for_the_next_request() {
    let server = Server::with(JVM, &JVM.file("Forms.java"), "").await;
    let one = "POST /?form=unread HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nGET\r\n4\r\n / H\r\n0\r\nTrailer: x\r\n\r\n";
    let answers = server.exchange(&format!("{one}GET /?form=stream HTTP/1.0\r\n\r\n")).await;
    assert!(answers.contains("\r\n\r\nunreadHTTP/1.1 200 OK") && answers.ends_with("\r\n\r\nread"), "{answers}");
}
