//! Which places may be asked, and what a bad server can do.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Redirect;
use axum::routing::get;
use futures_util::stream;

use super::*;
use crate::source::hex;

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn fetch(limits: FetchLimits, url: &str) -> Result<Vec<u8>, Failure> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let writing = file.reopen().unwrap();
    let digest = Downloader::new(limits).fetch(&url.parse().unwrap(), writing).await?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(digest, hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes).as_ref()));
    Ok(bytes)
}

fn unusable(result: Result<Vec<u8>, Failure>) -> String {
    match result {
        Err(Failure::Unusable(why)) => why,
        other => panic!("must be refused for good, got {other:?}"),
    }
}

#[tokio::test]
async fn addresses_of_the_machines_own_network_are_refused() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "https://168.63.129.16/",
    ] {
        let why = unusable(fetch(FetchLimits::default(), url).await);
        assert!(why.contains("metadata"), "{url}: {why}");
    }
    for url in ["file:///etc/passwd", "ftp://host/x", "unix:/run/x"] {
        assert!(unusable(fetch(FetchLimits::default(), url).await).contains("not an http"), "{url}");
    }
}

#[tokio::test]
async fn redirects_are_followed_but_not_everywhere_and_not_forever() {
    let router = Router::new()
        .route("/code", get(|| async { "code" }))
        .route("/moved", get(|| async { Redirect::temporary("/code") }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/metadata", get(|| async { Redirect::temporary("http://169.254.169.254/") }))
        .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }));
    let host = serve(router).await;
    let limits = FetchLimits::default();
    assert_eq!(fetch(limits, &format!("http://{host}/moved")).await, Ok(b"code".to_vec()));
    assert!(unusable(fetch(limits, &format!("http://{host}/loop")).await).contains("more than 5 redirects"));
    assert!(unusable(fetch(limits, &format!("http://{host}/metadata")).await).contains("metadata"));
    // A client only knows http and https and takes any other redirect for the answer.
    assert!(fetch(limits, &format!("http://{host}/file")).await.is_err());
}

#[tokio::test]
async fn too_many_bytes_are_refused_announced_or_not() {
    let router = Router::new().route("/known", get(|| async { vec![0; 2000] })).route(
        "/endless",
        get(|| async { Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0; 100]))) }),
    );
    let host = serve(router).await;
    let limits = FetchLimits { bytes: 1000, ..Default::default() };
    for path in ["known", "endless"] {
        let why = unusable(fetch(limits, &format!("http://{host}/{path}")).await);
        assert!(why.contains("more than 1000 bytes"), "{why}");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_tried_again_and_one_that_says_no_is_not() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let flaky = || async {
        match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 => Err(StatusCode::SERVICE_UNAVAILABLE),
            _ => Ok("code"),
        }
    };
    let host = serve(Router::new().route("/flaky", get(flaky))).await;
    assert_eq!(fetch(FetchLimits::default(), &format!("http://{host}/flaky")).await, Ok(b"code".to_vec()));
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    let why = unusable(fetch(FetchLimits::default(), &format!("http://{host}/nothing")).await);
    assert!(why.contains("404"), "{why}");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_limit_and_no_more() {
    let router = Router::new().route("/", get(std::future::pending::<&str>));
    let host = serve(router).await;
    let limits = FetchLimits { total: Duration::from_millis(200), ..Default::default() };
    let result = fetch(limits, &format!("http://{host}/")).await;
    assert!(matches!(&result, Err(Failure::Unreachable(why)) if why.contains("not downloaded within")), "{result:?}");
}

#[tokio::test]
async fn nobody_there_is_said_with_its_cause() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let result = fetch(FetchLimits { attempts: 1, ..Default::default() }, &format!("http://{host}/")).await;
    assert!(matches!(&result, Err(Failure::Unreachable(why)) if why.contains("refused")), "{result:?}");
}
