//! What only the go environment does.

use std::path::PathBuf;

use http_body_util::BodyExt;
use tokio::process::Command;

use crate::world::{
    GO, Server, a_line_printed_in_parts_is_one, eventually, last_words_are_kept_while_the_log_is_full,
    program_ends_with_its_container, read_until, request, runtime,
};

/// What a builder makes of a function's source.
async fn built(source: PathBuf, folder: &tempfile::TempDir) -> PathBuf {
    let program = folder.path().join("deployarchive");
    let server = runtime(GO).await.argv.remove(0);
    let output = Command::new(server).arg("build").arg(source).arg(&program).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[tokio::test]
async fn a_built_program_answers_for_every_entry_point_it_was_built_with() {
    let folder = tempfile::tempdir().unwrap();
    let program = built(GO.file("folder"), &folder).await;
    for (entry, expected) in [("", "main file"), ("Hello", "from a folder"), ("Vendored", "vendored")] {
        let server = Server::with(GO, &program, entry).await;
        assert_eq!(server.get("/").await.text(), expected, "{entry}");
    }
    // A package may be a folder with the program in it.
    let server = Server::with(GO, folder.path(), "Hello").await;
    assert_eq!(server.get("/").await.text(), "from a folder");
}

#[tokio::test]
async fn a_built_program_needs_no_permission_to_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let program = built(GO.function("unicode"), &folder).await;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o400)).unwrap();
    let server = Server::with(GO, &program, "").await;
    assert_eq!(server.get("/").await.text(), "Grüße, 世界 🌍");
}

#[tokio::test]
async fn an_entry_point_a_built_program_lacks_is_refused_and_the_container_stays_generic() {
    let folder = tempfile::tempdir().unwrap();
    let program = built(GO.file("folder"), &folder).await;
    let server = Server::start(GO).await;
    for (entry, reason) in
        [("Nothere", "the code has Handler, Hello, Number, Vendored"), ("Number", "cannot serve requests")]
    {
        let answer = server.specialize(&program, entry).await;
        assert!(answer.status == 500 && answer.text().contains(reason), "{entry}: {}", answer.text());
    }
    assert!(server.specialize(&program, "").await.status.is_success());
}

#[tokio::test]
async fn a_program_that_is_no_function_is_refused() {
    let answer = Server::start(GO).await.specialize("/bin/true".as_ref(), "").await;
    assert!(answer.status == 500 && answer.text().contains("ended before it served"), "{}", answer.text());
}

#[tokio::test]
async fn what_the_compiler_says_comes_back_with_file_and_line() {
    let answer = Server::start(GO).await.specialize(&GO.file("types.go"), "").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("types.go:6:"), "{}", answer.text());
    assert!(answer.text().contains("cannot use \"no number\""), "{}", answer.text());
}

#[tokio::test]
async fn a_function_that_exits_ends_the_container_with_its_code_and_its_last_words_are_kept() {
    let mut server = Server::with(GO, &GO.file("exits.go"), "").await;
    let mut stream = server.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    assert_eq!(server.exit_code().await, Some(3));
    assert!(server.log("stdout").contains("last words"), "{}", server.log("stdout"));
}

#[tokio::test]
async fn a_line_printed_in_parts_after_its_request_is_one_line() {
    a_line_printed_in_parts_is_one(GO).await;
}

#[tokio::test]
async fn what_a_program_printed_before_it_exits_is_kept_while_the_log_is_full() {
    last_words_are_kept_while_the_log_is_full(GO).await;
}

#[tokio::test]
async fn the_program_ends_with_its_container() {
    program_ends_with_its_container(GO).await;
}

#[tokio::test]
async fn a_connection_opened_before_the_function_was_there_reaches_it() {
    let server = Server::start(GO).await;
    let mut early = server.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut early, b"GET /healthz HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    read_until(&mut early, "\r\n\r\n").await;
    assert!(server.specialize(&GO.function("unicode"), "").await.status.is_success());
    tokio::io::AsyncWriteExt::write_all(&mut early, b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    assert!(read_until(&mut early, "🌍").await.contains("200 OK"));
}

#[tokio::test]
async fn an_answer_that_panics_halfway_is_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("deployarchive");
    let source = std::fs::read_to_string(GO.function("stream")).unwrap();
    std::fs::write(&code, source.replace("io.WriteString(w, \"second\")", "panic(\"halfway\")")).unwrap();
    let server = Server::with(GO, &code, "").await;
    let response = server.open(request("GET", "/"), "").await;
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err(), "a part looked like the whole");
    eventually("the reason in the log", || server.log("stderr").contains("halfway")).await;
}
