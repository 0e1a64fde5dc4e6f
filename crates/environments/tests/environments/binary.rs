//! What only the binary environment does.

use std::os::unix::fs::PermissionsExt;

use http_body_util::BodyExt;

use crate::world::{BINARY, Server, eventually, request};

#[tokio::test]
async fn a_program_that_may_not_be_executed_where_it_lies_is_run_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("deployarchive");
    std::fs::copy("/bin/echo", &code).unwrap();
    std::fs::set_permissions(&code, std::fs::Permissions::from_mode(0o400)).unwrap();
    let server = Server::with(BINARY, &code, "").await;
    for _ in 0..2 {
        assert_eq!(server.get("/").await.text(), "\n");
    }
}

#[tokio::test]
async fn a_script_is_run_by_the_interpreter_it_names() {
    let server = Server::with(BINARY, &BINARY.file("shebang"), "").await;
    assert_eq!(server.get("/").await.text(), "python");
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("script");
    std::fs::write(&code, "#!/no/such/interpreter\n").unwrap();
    let answer = Server::start(BINARY).await.specialize(&code, "").await;
    assert!(answer.text().contains("/no/such/interpreter"), "{}", answer.text());
}

#[tokio::test]
async fn a_program_and_what_it_started_end_when_the_client_leaves() {
    let server = Server::with(BINARY, &BINARY.file("forever.sh"), "").await;
    let pid_file = server.folder().join("pid");
    let head = request("GET", "/").header("x-pid-file", pid_file.to_str().unwrap());
    let mut body = server.open(head, "").await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "started");
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    drop(body);
    // A killed process that nobody has waited for yet is a zombie: still there, but not running.
    eventually("the program's child ends", || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    })
    .await;
}

#[tokio::test]
async fn a_program_that_fails_after_it_printed_breaks_the_answer_off() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("script");
    std::fs::write(&code, "printf part; sleep 0.3; exit 1\n").unwrap();
    let server = Server::with(BINARY, &code, "").await;
    let response = server.open(request("GET", "/"), "").await;
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err(), "a part looked like the whole");
    std::fs::write(&code, "printf part; exit 1\n").unwrap();
    let answer = server.get("/").await;
    assert_eq!(answer.status, 500, "one that fails at once is still a 500: {}", answer.text());
}

#[tokio::test]
async fn the_proxy_header_does_not_become_a_proxy_setting() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("script");
    std::fs::write(&code, "printf %s \"[$HTTP_PROXY]\"\n").unwrap();
    let server = Server::with(BINARY, &code, "").await;
    let answer = server.send(request("GET", "/").header("proxy", "http://evil"), "").await;
    assert_eq!(answer.text(), "[]");
}
