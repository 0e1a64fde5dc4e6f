//! What only the rust environment does.

use std::path::{Path, PathBuf};

use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::build::build;
use crate::world::{
    RUST, Server, a_line_printed_in_parts_is_one, eventually, last_words_are_kept_while_the_log_is_full,
    program_ends_with_its_container, read_until, request, runtime,
};

/// What an instance makes of a source.
async fn compiled(source: PathBuf, folder: &Path) -> PathBuf {
    let program = folder.join("deployarchive");
    let compiler: Vec<String> = runtime(RUST).await.argv.split_off(2);
    let output = Command::new(&compiler[0]).args(&compiler[1..]).args([&source, &program]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[tokio::test]
async fn a_project_of_cargos_becomes_its_programs_and_the_entry_point_names_one() {
    let built = build(RUST, &RUST.file("project")).await;
    assert!(built.ok, "{}", built.log);
    for (entry, expected) in [("", "the handler"), ("other", "the other, with words")] {
        let server = Server::with(RUST, &built.result, entry).await;
        assert_eq!(server.get("/").await.text(), expected, "{entry}");
    }
    let answer = Server::start(RUST).await.specialize(&built.result, "nothere").await;
    assert!(answer.status == 500 && answer.text().contains("it has handler, other"), "{}", answer.text());
}

#[tokio::test]
async fn a_project_is_built_again_from_what_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let manifest = "[package]\nname = \"again\"\nedition = \"2024\"\n[dependencies]\nfission-function = \"0.1\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    for said in ["first", "second"] {
        let source = format!("fn main() {{ fission_function::serve(|_request| \"{said}\") }}");
        std::fs::write(folder.path().join("src/main.rs"), source).unwrap();
        let built = build(RUST, folder.path()).await;
        assert!(built.ok && built.log.contains("there is no Cargo.lock"), "{}", built.log);
        assert_eq!(Server::with(RUST, &built.result, "").await.get("/").await.text(), said);
    }
}

#[tokio::test]
async fn a_project_that_cannot_be_built_says_why() {
    let broken = build(RUST, &RUST.file("broken_project")).await;
    assert!(!broken.ok && broken.log.contains("src/main.rs:4:"), "{}", broken.log);
    assert!(broken.log.ends_with("the lines above say why\n"), "{}", broken.log);
    let empty = build(RUST, &RUST.file("library")).await;
    assert!(!empty.ok && empty.log.contains("the project makes no program"), "{}", empty.log);
}

#[tokio::test]
async fn a_project_is_not_compiled_where_it_is_loaded() {
    let answer = Server::start(RUST).await.specialize(&RUST.file("library"), "").await;
    assert!(answer.status == 500 && answer.text().contains("--src"), "{}", answer.text());
}

#[tokio::test]
async fn a_built_program_needs_no_permission_to_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let program = compiled(RUST.function("unicode"), folder.path()).await;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o400)).unwrap();
    // Root may execute what anyone may; a file in a folder is found by its kind.
    let server = Server::with(RUST, folder.path(), "").await;
    assert_eq!(server.get("/").await.text(), "Grüße, 世界 🌍");
}

#[tokio::test]
async fn any_http_server_on_the_given_port_is_a_function() {
    let folder = tempfile::tempdir().unwrap();
    let program = compiled(RUST.file("own_server.rs"), folder.path()).await;
    let mut server = Server::with(RUST, &program, "").await;
    // One after the other on one connection, then on others.
    let mut stream = server.connect().await;
    for path in ["/a//b?x=%20y", "/second"] {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: f\r\n\r\n").as_bytes()).await.unwrap();
        read_until(&mut stream, &format!("own {path}")).await;
    }
    let answer = server.send(request("POST", "/"), vec![7; 5 << 20]).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "own / 5242880"));
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_function_may_change_the_protocol_of_its_connection() {
    for function in ["upgrades.rs", "own_server.rs"] {
        let server = Server::with(RUST, &RUST.file(function), "").await;
        let mut stream = server.connect().await;
        let head = "GET /upgrade HTTP/1.1\r\nHost: f\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(read_until(&mut stream, "\r\n\r\n").await.contains(" 101 "), "{function}");
        stream.write_all(b"ping").await.unwrap();
        read_until(&mut stream, "ping").await;
    }
}

#[tokio::test]
async fn a_program_that_is_no_function_is_refused_and_the_container_stays_generic() {
    let server = Server::start(RUST).await;
    let answer = server.specialize("/bin/true".as_ref(), "").await;
    assert!(answer.status == 500 && answer.text().contains("ended before it served"), "{}", answer.text());
    assert!(server.specialize(&RUST.function("empty"), "").await.status.is_success());
}

#[tokio::test]
async fn a_function_that_exits_ends_the_container_with_its_code_and_its_last_words_are_kept() {
    let mut server = Server::with(RUST, &RUST.file("exits.rs"), "").await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    assert_eq!(server.exit_code().await, Some(3));
    assert!(server.log("stdout").contains("last words"), "{}", server.log("stdout"));
}

#[tokio::test]
async fn a_line_printed_in_parts_after_its_request_is_one_line() {
    a_line_printed_in_parts_is_one(RUST).await;
}

#[tokio::test]
async fn what_a_program_printed_before_it_exits_is_kept_while_the_log_is_full() {
    last_words_are_kept_while_the_log_is_full(RUST).await;
}

#[tokio::test]
async fn the_program_ends_with_its_container() {
    program_ends_with_its_container(RUST).await;
}

#[tokio::test]
async fn a_connection_opened_before_the_function_was_there_reaches_it() {
    let server = Server::start(RUST).await;
    let mut early = server.connect().await;
    early.write_all(b"GET /healthz HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    read_until(&mut early, "\r\n\r\n").await;
    assert!(server.specialize(&RUST.function("unicode"), "").await.status.is_success());
    early.write_all(b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
    assert!(read_until(&mut early, "🌍").await.contains("200 OK"));
}

#[tokio::test]
async fn a_panic_fails_its_own_request_only_and_what_is_broken_off_is_no_whole_answer() {
    let server = Server::with(RUST, &RUST.file("panics.rs"), "").await;
    for path in ["/now", "/later"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (500, "Internal server error"), "{path}");
        eventually("the reason in the log", || server.log("stderr").contains(&format!("panicked for {path}"))).await;
    }
    let response = server.open(request("GET", "/halfway"), "").await;
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err(), "a part looked like the whole");
    eventually("the reason in the log", || server.log("stderr").contains("broken off: halfway")).await;
    assert_eq!(server.get("/").await.text(), "still there");
}

#[tokio::test]
async fn lines_written_with_the_sdk_carry_their_requests_id_however_many_are_served() {
    let server = Server::with(RUST, &RUST.file("logs.rs"), "").await;
    let send = |id: &'static str| server.send(request("GET", "/").header("x-fission-request-id", id), "");
    let (one, two) = tokio::join!(send("one"), send("two"));
    assert_eq!((one.text(), two.text()), ("one".to_owned(), "two".to_owned()));
    for line in ["\x1eone\x1ethis is one\n", "\x1etwo\x1ethis is two\n"] {
        eventually(line, || server.log("stderr").contains(line)).await;
    }
}

#[tokio::test]
async fn the_sdk_passes_its_own_tests() {
    let home = PathBuf::from(&runtime(RUST).await.argv[3]);
    let rustc = PathBuf::from(&runtime(RUST).await.argv[4]);
    let output = Command::new(rustc.with_file_name("cargo"))
        .args(["test", "--locked", "--package", "fission-function", "--target-dir"])
        .arg(crate::build::cache().join("rust/sdk"))
        .current_dir(home.parent().unwrap())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}
