//! The storage service, in process and over HTTP.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use super::*;

fn storage(dir: &Path) -> Storage {
    Storage::open(dir, Options { max_archive_bytes: 1000 }).unwrap()
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join(FOLDER)).unwrap().count()
}

async fn call(router: &Router, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Bytes) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

fn request(method: Method, uri: &str) -> Request<Body> {
    Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()
}

fn upload(field: &str, content: &[u8], size: Option<&str>) -> Request<Body> {
    let mut form = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"a.zip\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(content);
    form.extend_from_slice(b"\r\n--edge--\r\n");
    let mut request = Request::post("/v1/archive").header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
    if let Some(size) = size {
        request = request.header("X-File-Size", size);
    }
    request.body(Body::from(form)).unwrap()
}

fn id_of(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body).unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_archive_is_uploaded_found_listed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let router = http(storage(dir.path()));
    let (status, _, body) = call(&router, upload("uploadfile", b"content", Some("7"))).await;
    assert_eq!(status, StatusCode::OK);
    let id = id_of(&body);
    assert!(id.starts_with("fission-functions/"), "{id}");
    let url = format!("/v1/archive?id={}", id.replace('/', "%2F"));

    let (status, headers, body) = call(&router, request(Method::GET, &url)).await;
    assert_eq!((status, body.as_ref()), (StatusCode::OK, b"content".as_slice()));
    assert_eq!(headers[header::CONTENT_LENGTH], "7");
    let (status, headers, _) = call(&router, request(Method::HEAD, &url)).await;
    assert_eq!((status, headers["X-FISSION-STORAGETYPE"].as_bytes()), (StatusCode::OK, b"local".as_slice()));
    let (_, _, body) = call(&router, request(Method::GET, "/v1/archive")).await;
    assert_eq!(serde_json::from_slice::<Vec<String>>(&body).unwrap(), [id]);

    assert_eq!(call(&router, request(Method::DELETE, &url)).await.0, StatusCode::OK);
    assert_eq!(call(&router, request(Method::GET, &url)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(call(&router, request(Method::HEAD, &url)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(call(&router, request(Method::DELETE, &url)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(call(&router, request(Method::DELETE, "/v1/archive")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(call(&router, request(Method::GET, "/healthz")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn uploads_that_are_not_as_announced_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let router = http(storage(dir.path()));
    let large = vec![0; 1001];
    for (upload, status, text) in [
        (upload("uploadfile", b"content", None), StatusCode::BAD_REQUEST, "X-File-Size"),
        (upload("uploadfile", b"content", Some("many")), StatusCode::BAD_REQUEST, "X-File-Size"),
        (upload("uploadfile", b"content", Some("8")), StatusCode::BAD_REQUEST, "has 7 bytes"),
        (upload("uploadfile", b"content", Some("6")), StatusCode::BAD_REQUEST, "more than the 6 bytes"),
        (upload("file", b"content", Some("7")), StatusCode::BAD_REQUEST, "uploadfile"),
        (upload("uploadfile", &large, Some("1001")), StatusCode::PAYLOAD_TOO_LARGE, "1000 bytes"),
        (upload("uploadfile", &large, Some("1000")), StatusCode::BAD_REQUEST, "more than the 1000 bytes"),
    ] {
        let (got, _, body) = call(&router, upload).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(got, status, "{body}");
        assert!(body.contains(text), "{body}");
    }
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test]
async fn who_sends_too_much_is_heard_out_and_then_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut connection = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(axum::serve(listener, http(storage(dir.path()))).into_future());
    // More than the sockets hold between them, from a client that listens when it has said everything.
    let body = upload("uploadfile", &vec![0; 16 << 20], None).into_body().collect().await.unwrap().to_bytes();
    let head = format!(
        "POST /v1/archive HTTP/1.1\r\nHost: storage\r\nConnection: close\r\nX-File-Size: 16777216\r\n\
         Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body).await.expect("the connection does not break");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("1000 bytes"), "{answer}");
}

#[tokio::test]
async fn no_id_leads_to_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(dir.path());
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    std::fs::write(dir.path().join(FOLDER).join("other"), "other").unwrap();
    let id = storage.put_bytes(Bytes::from_static(b"x")).await.unwrap();
    let uuid = id.strip_prefix("fission-functions/").unwrap();
    for id in [
        "",
        "secret",
        "../secret",
        "fission-functions/other",
        "fission-functions/../secret",
        "fission-functions//",
        "/etc/passwd",
        uuid,
        &format!("fission-functions/./{uuid}"),
        &format!("/{id}"),
        &format!("fission-functions/{}", uuid.to_uppercase()),
        &format!("fission-functions/{{{uuid}}}"),
    ] {
        assert!(matches!(storage.get(id).await.map(|found| found.0), Err(StorageError::NotFound { .. })), "{id:?}");
        assert!(matches!(storage.delete(id).await, Err(StorageError::NotFound { .. })), "{id:?}");
    }
    assert_eq!(storage.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_is_too_long_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(dir.path());
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err("gone")]);
    assert!(matches!(storage.put(broken).await, Err(StorageError::Incomplete { .. })));
    let endless = stream::repeat_with(|| Ok::<_, &str>(Bytes::from_static(&[0; 100])));
    assert!(matches!(storage.put(endless).await, Err(StorageError::TooLarge { max: 1000 })));
    assert_eq!(files(dir.path()), 0);
    assert_eq!(storage.usage(), Usage::default());
}

#[tokio::test]
async fn a_restart_keeps_archives_and_removes_what_a_crash_left() {
    let dir = tempfile::tempdir().unwrap();
    let id = storage(dir.path()).put_bytes(Bytes::from_static(b"kept")).await.unwrap();
    let staged = dir.path().join(FOLDER).join(format!("{}#1", Uuid::new_v4()));
    std::fs::write(&staged, "half").unwrap();
    let storage = storage(dir.path());
    assert!(!staged.exists());
    assert_eq!(storage.usage(), Usage { archives: 1, bytes: 4 });
    assert_eq!(std::fs::read(storage.path(&id).await.unwrap()).unwrap(), b"kept");
    storage.delete(&id).await.unwrap();
    assert_eq!(storage.usage(), Usage::default());
}

/// Folder the child of the next test works in; its presence makes the test the child.
const CHILD_DIR: &str = "full-disk";

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let child = Path::new(CHILD_DIR);
    if child.is_dir() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let storage = Storage::open(child, Options::default()).unwrap();
        let error = runtime.block_on(storage.put_bytes(Bytes::from(vec![7; 3 << 20]))).unwrap_err();
        assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
        assert_eq!(files(child), 0);
        let id = runtime.block_on(storage.put_bytes(Bytes::from_static(b"small"))).unwrap();
        assert_eq!(runtime.block_on(storage.stored(&id)).unwrap().size, 5);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(CHILD_DIR)).unwrap();
    // A process that may only write 1 MiB files sees the same errors as one on a full disk.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --exact storage::tests::a_full_disk_is_told_and_leaves_nothing",
        ])
        .arg(std::env::current_exe().unwrap())
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
