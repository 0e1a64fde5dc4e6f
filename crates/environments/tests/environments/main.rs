//! Every environment's server driven as a real process: what all share through one table, then what each has of its own.

mod binary;
mod build;
mod dotnet;
mod examples;
mod fastapi;
mod go;
mod http;
mod jvm;
mod nodejs;
mod perl;
mod php;
mod preparation;
mod python;
mod ruby;
mod rust;
mod variables;
mod wasm;
mod world;

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{BINARY, DOTNET, FASTAPI, GO, JVM, LANGUAGES, NODEJS, PERL, PHP, RUBY, RUST, Server, read_until, request};

#[tokio::test]
async fn method_path_query_headers_and_body_reach_the_function_and_its_answer_comes_back() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("echo"), "").await;
        let head = request("PUT", "/a//b?x=1&y=%20z").header("x-test", "tested").header("content-type", "text/plain");
        let answer = server.send(head, "the body").await;
        let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({
            "method": "PUT", "path": "/a//b", "query": "x=1&y=%20z", "header": "tested", "body": "the body"
        });
        assert_eq!(seen, expected, "{}", language.name);
        if language.name != BINARY.name {
            assert_eq!(answer.status, 201, "{}", language.name);
            assert_eq!(answer.headers["x-answer"], "yes", "{}", language.name);
        }
    }
}

#[tokio::test]
async fn every_method_reaches_the_function() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("echo"), "").await;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            let answer = server.send(request(method, "/any/path"), "").await;
            let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(seen["method"], method, "{}", language.name);
        }
        let head = server.send(request("HEAD", "/"), "").await;
        assert!(head.status.is_success() && head.body.is_empty(), "{}: {head:?}", language.name);
    }
}

#[tokio::test]
async fn empty_binary_and_unicode_bodies_arrive_unchanged() {
    for language in LANGUAGES {
        let every_byte: Vec<u8> = (0..=255).collect();
        for (function, expected) in
            [("empty", &b""[..]), ("bytes", &every_byte), ("unicode", "Grüße, 世界 🌍".as_bytes())]
        {
            let server = Server::with(language, &language.function(function), "").await;
            let answer = server.get("/").await;
            assert_eq!(answer.status, 200, "{} {function}", language.name);
            assert_eq!(answer.body, expected, "{} {function}", language.name);
        }
    }
}

#[tokio::test]
async fn a_function_that_fails_answers_with_an_error_and_its_reason_is_in_the_log() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("fails"), "").await;
        for _ in 0..2 {
            let answer = server.get("/").await;
            // Functions of .NET rely on the caller seeing what they threw.
            let (status, told) = if language.name == DOTNET.name { (400, true) } else { (500, false) };
            assert_eq!(answer.status, status, "{}", language.name);
            assert_eq!(answer.text().contains("the reason"), told, "{}: {}", language.name, answer.text());
        }
        world::eventually("the reason in the log", || server.log("stderr").matches("the reason").count() >= 2).await;
    }
}

#[tokio::test]
async fn a_generic_container_is_healthy_and_serves_no_requests() {
    for language in LANGUAGES {
        let server = Server::start(language).await;
        assert_eq!(server.get("/healthz").await.status, 200, "{}", language.name);
        let answer = server.get("/").await;
        let (status, text) = if language.name == BINARY.name {
            (400, "not specialized")
        } else {
            (500, "Generic container: no requests supported")
        };
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, text), "{}", language.name);
    }
}

#[tokio::test]
async fn a_container_is_specialized_once() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("empty"), "").await;
        for answer in [
            server.specialize(&language.function("unicode"), "").await,
            server.send(request("POST", "/specialize"), "").await,
        ] {
            assert_eq!(answer.status, 400, "{}: {}", language.name, answer.text());
        }
        assert_eq!(server.get("/").await.text(), "", "{}", language.name);
        assert_eq!(server.get("/healthz").await.status, 200, "{}", language.name);
    }
}

#[tokio::test]
async fn code_that_does_not_parse_is_refused_with_its_file_and_line() {
    for language in LANGUAGES {
        let server = Server::start(language).await;
        let code = language.function("broken");
        let answer = server.specialize(&code, "").await;
        let name = code.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(answer.status, 500, "{}", language.name);
        assert!(answer.text().contains(&name) && answer.text().contains('2'), "{}: {}", language.name, answer.text());
        let again = server.specialize(&language.function("unicode"), "").await;
        assert!(again.status.is_success(), "{}: a failed load spoils nothing: {}", language.name, again.text());
    }
}

#[tokio::test]
async fn code_that_is_not_there_and_requests_that_are_not_json_are_refused_with_the_reason() {
    for language in LANGUAGES {
        let server = Server::start(language).await;
        let answer = server.specialize(std::path::Path::new("/not/there"), "").await;
        assert_eq!(answer.status, 500, "{}", language.name);
        assert!(answer.text().contains("/not/there"), "{}: {}", language.name, answer.text());
        let answer = server.send(request("POST", "/v2/specialize"), "not json").await;
        assert_eq!(answer.status, 400, "{}: {}", language.name, answer.text());
        // Nothing is at the place of version 1, and the answer says where that is.
        let answer = server.send(request("POST", "/specialize"), "").await;
        assert!(answer.text().contains("/userfunc/user"), "{}: {}", language.name, answer.text());
    }
}

#[tokio::test]
async fn requests_are_served_at_the_same_time() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("slow"), "").await;
        let started = Instant::now();
        let answers = futures_util::future::join_all((0..8).map(|_| server.get("/"))).await;
        assert!(answers.iter().all(|answer| answer.text() == "slow"), "{}", language.name);
        assert!(started.elapsed() < Duration::from_millis(8 * 300 / 2), "{}: {:?}", language.name, started.elapsed());
    }
}

#[tokio::test]
async fn chunks_are_sent_as_the_function_makes_them() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("stream"), "").await;
        let mut body = server.open(request("GET", "/"), "").await.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let at_first = Instant::now();
        assert_eq!(first, "first", "{}", language.name);
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(rest, "second", "{}", language.name);
        assert!(at_first.elapsed() > Duration::from_millis(150), "{}: all came at once", language.name);
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("empty"), "").await;
        let stream = hyper_util::rt::TokioIo::new(server.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..20 {
            let body = http_body_util::Full::new(bytes::Bytes::new());
            let response = sender.send_request(request("GET", "/").body(body).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200, "{}", language.name);
            assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty(), "{}", language.name);
            sender.ready().await.unwrap_or_else(|error| panic!("{}: {error}", language.name));
        }
    }
}

#[tokio::test]
async fn large_bodies_and_large_headers_reach_the_function() {
    for language in LANGUAGES {
        let server = Server::start_with(language, &[("BODY_PARSER_LIMIT", "6mb")]).await;
        assert!(server.specialize(&language.function("size"), "").await.status.is_success());
        let head = request("POST", "/")
            .header("content-type", "application/octet-stream")
            .header("x-large", "x".repeat(60 * 1024));
        let answer = server.send(head, vec![7; 5 << 20]).await;
        assert_eq!(answer.text().trim(), (5 << 20).to_string(), "{}", language.name);
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_continue() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("size"), "").await;
        let mut stream = server.connect().await;
        let head = "POST / HTTP/1.1\r\nHost: f\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut stream, "100 Continue").await;
        stream.write_all(b"12345").await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n5").await;
        assert!(answer.contains("200 OK"), "{}: {answer}", language.name);
    }
}

#[tokio::test]
async fn lines_printed_for_a_request_carry_its_id_and_others_do_not() {
    for language in LANGUAGES {
        let server = Server::with(language, &language.function("prints"), "").await;
        server.get("/").await;
        server.send(request("GET", "/").header("x-fission-request-id", "request-1"), "").await;
        let printed = |text: &str| (server.log("stdout") + &server.log("stderr")).contains(text);
        for line in ["one", "two", "three"] {
            let marked = format!("\x1erequest-1\x1e{line}\n");
            world::eventually(&format!("{}: {marked:?}", language.name), || printed(&marked)).await;
            let all = server.log("stdout") + &server.log("stderr");
            assert!(all.lines().any(|printed| printed == line), "{}: {all:?}", language.name);
        }
    }
}

#[tokio::test]
async fn a_server_told_to_end_finishes_what_it_serves_and_exits_with_0() {
    for language in LANGUAGES {
        let mut server = Server::with(language, &language.function("slow"), "").await;
        // An idle connection must not hold it up.
        let _idle = server.connect().await;
        let mut busy = server.connect().await;
        busy.write_all(b"GET / HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.terminate();
        let answer = read_until(&mut busy, "slow").await;
        assert!(answer.contains("200 OK"), "{}: {answer}", language.name);
        assert_eq!(server.exit_code().await, Some(0), "{}", language.name);
    }
}

#[tokio::test]
async fn a_server_without_a_socket_path_listens_on_its_port() {
    for language in LANGUAGES {
        let runtime = world::runtime(language).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = tokio::process::Command::new(&runtime.argv[0])
            .args(&runtime.argv[1..])
            .envs(runtime.env)
            .env_remove("FISSION_SOCKET")
            .env("RUNTIME_PORT", port.to_string())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut stream = loop {
            match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{}: {error}", language.name),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: f\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200", "{}", language.name);
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_is_a_package_and_the_entry_point_names_what_is_in_it() {
    for (language, entry, expected) in [
        (NODEJS, "app.hello", "from a folder"),
        (NODEJS, "app", "from a folder"),
        (NODEJS, "", "main file"),
        (NODEJS, "lib/inner.deep", "deep"),
        (world::PYTHON, "main.hello", "from a folder"),
        (world::PYTHON, "hello", "from a folder"),
        (world::PYTHON, "", "main file"),
        (world::PYTHON, "package.inner.deep", "deep"),
        (world::PYTHON, "code.main", "not the library"),
        (FASTAPI, "hello", "from a folder"),
        (FASTAPI, "", "main file"),
        (FASTAPI, "package.inner.deep", "deep"),
        (DOTNET, "hello", "from a folder"),
        (DOTNET, "", "main file"),
        (GO, "Hello", "from a folder"),
        (GO, "", "main file"),
        (GO, "Vendored", "vendored"),
        (PHP, "main.php::hello", "from a folder"),
        (PHP, "", "main file"),
        (PHP, "lib/inner.php::Inner\\Deep::answer", "vendored"),
        (PHP, "page.php", "A page\n"),
        (RUBY, "hello", "from a folder"),
        (RUBY, "", "main file"),
        (RUBY, "deep", "deep"),
        (RUBY, "vendored", "vendored"),
        (PERL, "hello", "from a folder"),
        (PERL, "hello.pl", "from a folder"),
        (PERL, "", "main file"),
        (PERL, "lib/deep", "deep"),
        (PERL, "vendored", "vendored"),
        (JVM, "words.Hello", "from a folder"),
        (JVM, "Hello", "from a folder"),
        (JVM, "", "main file"),
        (JVM, "Deep", "deep"),
        (RUST, "hello", "from a folder"),
        (RUST, "", "main file"),
        (BINARY, "hello", "from a folder"),
    ] {
        let server = Server::with(language, &language.file("folder"), entry).await;
        assert_eq!(server.get("/").await.text(), expected, "{} {entry}", language.name);
    }
}

#[tokio::test]
async fn an_entry_point_that_is_not_there_is_refused_with_what_there_is() {
    for (language, entry, named) in [
        (NODEJS, "nothere.fn", "index.js"),
        (NODEJS, "app.nothere", "hello"),
        (NODEJS, "../nodejs/echo", "outside"),
        (world::PYTHON, "nothere.fn", "main.py"),
        (world::PYTHON, "main.nothere", "hello"),
        (FASTAPI, "nothere.fn", "main.py"),
        (FASTAPI, "main.nothere", "hello"),
        (DOTNET, "nothere", "hello.cs"),
        (DOTNET, "../echo", "hello.cs"),
        (GO, "Nothere", "Hello"),
        (GO, "Number", "cannot serve requests"),
        (PHP, "nothere.php::fn", "main.php"),
        (PHP, "main.php::nothere", "hello"),
        (PHP, "../echo.php::handler", "outside"),
        (RUBY, "nothere", "hello"),
        (RUBY, "puts", "hello"),
        (PERL, "nothere", "hello.pl"),
        (PERL, "../echo", "hello.pl"),
        (JVM, "NotHere", "words.Hello"),
        (JVM, "words.Words", "is no function"),
        (RUST, "nothere", "hello"),
        (RUST, "../echo", "hello"),
        (BINARY, "nothere", "hello"),
        (BINARY, "../echo.sh", "hello"),
        (BINARY, "", "hello"),
    ] {
        let server = Server::start(language).await;
        let answer = server.specialize(&language.file("folder"), entry).await;
        assert_eq!(answer.status, 500, "{} {entry}", language.name);
        assert!(answer.text().contains(named), "{} {entry}: {}", language.name, answer.text());
    }
}
