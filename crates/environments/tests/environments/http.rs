//! HTTP where the server is our own, and connections where a request has a worker of its own.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::world::{JVM, Language, PERL, PHP, RUBY, Server, read_until};

/// Servers that read requests themselves. The others leave it to a library, which is trusted with it.
const OWN: [Language; 3] = [PHP, PERL, JVM];

#[tokio::test]
async fn bodies_in_chunks_and_pipelined_requests_are_understood() {
    for language in OWN {
        let server = Server::with(language, &language.function("size"), "").await;
        let mut stream = server.connect().await;
        let one = "POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n";
        stream
            .write_all(format!("{one}GET / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let answers = read_until(&mut stream, "\r\n\r\n0").await;
        assert!(answers.contains("\r\n\r\n7HTTP/1.1 200 OK"), "{}: {answers}", language.name);
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    for language in OWN {
        let server = Server::with(language, &language.function("size"), "").await;
        for request in [
            "hello\r\n\r\n",
            "GET / HTTP/1.1\r\nno header\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut stream = server.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = read_until(&mut stream, "\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{} {request:?}: {answer}", language.name);
        }
    }
}

#[tokio::test]
async fn more_connections_than_workers_are_kept_and_idle_ones_hold_up_none() {
    // Puma left to itself keeps a thread for 0.2 s at each connection; 32 workers of Perl are started meanwhile.
    for (language, most) in [(RUBY, Duration::from_secs(2)), (PERL, Duration::from_secs(4))] {
        let server = Server::with(language, &language.function("unicode"), "").await;
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
        assert!(started.elapsed() < most, "{}: {:?}", language.name, started.elapsed());
    }
}
