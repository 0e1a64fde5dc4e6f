//! What only the python environment does.

use crate::world::{PYTHON, Server};

#[tokio::test]
async fn a_named_function_of_a_single_file_is_called() {
    let server = Server::with(PYTHON, &PYTHON.file("other.py"), "user.other").await;
    assert_eq!(server.get("/").await.text(), "other");
}

#[tokio::test]
async fn a_function_may_be_asynchronous_and_return_what_flask_takes() {
    let server = Server::with(PYTHON, &PYTHON.file("asynchronous.py"), "").await;
    let answer = server.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text().trim()), (202, r#"{"by":"asyncio"}"#));
}

#[tokio::test]
async fn abort_becomes_its_status() {
    let server = Server::with(PYTHON, &PYTHON.file("aborts.py"), "").await;
    assert_eq!(server.get("/").await.status, 418);
}

#[tokio::test]
async fn a_module_without_the_function_is_refused_with_what_it_has() {
    let server = Server::start(PYTHON).await;
    let answer = server.specialize(&PYTHON.file("other.py"), "").await;
    assert!(answer.text().contains("no function main; it has other"), "{}", answer.text());
}
