//! The functions of `examples/` as the platform loads them: one file, without its name.

use std::path::Path;

use crate::world::{
    Answer, BINARY, DOTNET, FASTAPI, GO, JVM, Language, NODEJS, PERL, PHP, PYTHON, RUBY, RUST, Server, request,
};

async fn post(language: Language, example: &str, kind: &str, body: &'static str) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("deployarchive");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example), &code).unwrap();
    let server = Server::with(language, &code, "").await;
    server.send(request("POST", "/?name=Ada").header("content-type", kind), body).await
}

#[tokio::test]
async fn the_examples_answer_what_their_table_says() {
    for (language, example) in [
        (NODEJS, "nodejs/hello.js"),
        (PYTHON, "python/hello.py"),
        (FASTAPI, "python-fastapi/hello.py"),
        (DOTNET, "dotnet/hello.cs"),
        (GO, "go/hello.go"),
        (PHP, "php/hello.php"),
        (RUBY, "ruby/hello.rb"),
        (PERL, "perl/hello.pl"),
        (JVM, "jvm/Hello.java"),
        (RUST, "rust/hello.rs"),
        (BINARY, "binary/hello.sh"),
    ] {
        assert_eq!(post(language, example, "text/plain", "").await.text(), "Hello, world!\n", "{example}");
    }
    let echo = post(NODEJS, "nodejs/echo.js", "application/json", r#"{"a":1}"#).await;
    let seen: serde_json::Value = serde_json::from_slice(&echo.body).unwrap();
    assert_eq!((&seen["query"]["name"], &seen["body"]["a"]), (&"Ada".into(), &1.into()));
    let stream = post(NODEJS, "nodejs/stream.mjs", "text/plain", "").await;
    assert_eq!(stream.text().matches("data: tick").count(), 5);
    let greeting = post(PYTHON, "python/guestbook.py", "text/plain", "").await;
    assert!(greeting.text().contains("Hello, Ada!"), "{}", greeting.text());
    let order = post(FASTAPI, "python-fastapi/orders.py", "application/json", r#"{"item":"pen"}"#).await;
    assert_eq!(order.text(), r#"{"accepted":{"item":"pen","count":1},"by":"Ada"}"#);
    let refused = post(FASTAPI, "python-fastapi/orders.py", "application/json", "{}").await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let added = post(DOTNET, "dotnet/addition.cs", "text/plain", "").await;
    assert_eq!((added.status.as_u16(), added.text().as_str()), (422, "x and y, please\n"));
    let greeting = post(PERL, "perl/guestbook.pl", "text/plain", "").await;
    assert_eq!(greeting.text(), "{\"greeting\":\"Hello, Ada!\"}\n");
    let greeting = post(JVM, "jvm/Guestbook.java", "text/plain", "").await;
    assert_eq!(greeting.text(), "{\"greeting\": \"Hello, Ada!\"}\n");
    assert_eq!(post(BINARY, "binary/upper.sh", "text/plain", "loud").await.text(), "LOUD");
    let greeting = post(PHP, "php/guestbook.php", "text/plain", "").await;
    assert!(greeting.text().contains("Hello, Ada!"), "{}", greeting.text());
    assert!(post(PHP, "php/page.php", "text/plain", "").await.text().contains("<p>Hello, Ada!</p>"));
}

#[tokio::test]
async fn the_example_of_a_go_module_is_built_from_its_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/go/greetings");
    let server = Server::with(GO, &folder.canonicalize().unwrap(), "Greet").await;
    assert_eq!(server.get("/?name=Ada&lang=fr").await.text().trim(), r#"{"greeting":"Bonjour, Ada!"}"#);
}
