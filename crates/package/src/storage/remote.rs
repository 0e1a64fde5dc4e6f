//! The storage service as its clients see it, from wherever they are. Every request is signed.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use fission_rpc::signed;
use fission_rpc::signing::{Key, NAMESPACE_HEADER};
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Client, Method, Request, Response, StatusCode, Url};
use serde::Deserialize;
use uuid::Uuid;

use super::StorageError;
use crate::receive::{self, NotReceived, causes};
use crate::source::hex;

/// Time to connect, and longest silence of the service.
const CONNECT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);
/// Tries after the first one.
const RETRIES: u32 = 4;
/// Wait before the second try to read; doubles with each. Somebody waits for an answer.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// The same for writing.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// Longest wait the service may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes read from an uploaded file at once.
const READ_BYTES: usize = 256 * 1024;
/// Characters quoted of what the service says.
const QUOTED: usize = 300;

/// An archive storage reached over HTTP. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RemoteStorage {
    shared: Arc<Remote>,
}

#[derive(Debug)]
struct Remote {
    url: Url,
    client: Client,
    key: Option<Key>,
    namespace: Option<String>,
}

/// How one try ended that gave nothing.
enum Failed {
    /// Another may give more.
    Again { why: String, after: Option<Duration> },
    /// No other will.
    Ended(StorageError),
}

impl RemoteStorage {
    /// The service at `base`, such as `http://storagesvc.fission`. `namespace`: the one the key is bound to; requests then
    /// see only what belongs to it or to nobody. Without a key they are not signed.
    pub fn new(base: &str, key: Option<Key>, namespace: Option<String>) -> Result<Self, StorageError> {
        let unusable =
            |why: String| StorageError::Unreachable { why: format!("{base:?} cannot be used as its address: {why}") };
        let url = Url::parse(base).map_err(|error| unusable(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("it is not http or https".to_owned()));
        }
        let url = Url::parse(&format!("{}/v1/archive", base.trim_end_matches('/')))
            .map_err(|error| unusable(error.to_string()))?;
        let client = fission_rpc::signed::client()
            .connect_timeout(CONNECT)
            .read_timeout(IDLE)
            // A signature is for one URL of one server.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { shared: Arc::new(Remote { url, client, key, namespace }) })
    }

    /// `host` or `host:port` of the service.
    pub fn host(&self) -> String {
        let host = self.shared.url.host_str().unwrap_or_default();
        self.shared.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Writes an archive of at most `max` bytes to a file; returns its digest.
    pub async fn fetch(&self, id: &str, file: File, max: u64) -> Result<String, StorageError> {
        let file = tokio::sync::Mutex::new(tokio::fs::File::from_std(file));
        self.often(READ_AGAIN, || async {
            let response = self.ask(self.request(Method::GET, Some(id)), id).await?;
            receive::to_file(response, &mut *file.lock().await, max).await.map_err(|error| match error {
                NotReceived::TooLarge => Failed::Ended(StorageError::TooLarge { max }),
                NotReceived::Broken(error) => Failed::Again { why: causes(&error), after: None },
                NotReceived::Unwritten(error) => {
                    Failed::Ended(StorageError::Disk { action: "written", why: error.to_string() })
                }
            })
        })
        .await
    }

    /// Stores a file from its beginning; returns its id and the lower-case hex of its sha256. A try that broke off may
    /// leave an archive nobody refers to, which is pruned.
    pub async fn put_file(&self, file: File) -> Result<(String, String), StorageError> {
        let unread = |error: io::Error| StorageError::Incomplete { why: error.to_string() };
        let form = tokio::task::spawn_blocking(move || Form::of(file)).await.map_err(|error| unread(error.into()))?;
        let form = form.map_err(unread)?;
        let id = self.often(WRITE_AGAIN, || self.upload(&form)).await?;
        Ok((id, form.file_digest.clone()))
    }

    async fn upload(&self, form: &Form) -> Result<String, Failed> {
        #[derive(Deserialize)]
        struct Uploaded {
            id: String,
        }
        let mut request = self.request(Method::POST, None);
        let headers = request.headers_mut();
        headers.insert(CONTENT_LENGTH, form.bytes().into());
        headers.insert("x-file-size", form.file_bytes.into());
        if let Ok(kind) = format!("multipart/form-data; boundary={}", form.boundary).parse() {
            headers.insert(CONTENT_TYPE, kind);
        }
        *request.body_mut() = Some(Body::wrap_stream(form.stream()));
        let response = self.ask_digest(request, "", &form.digest).await?;
        let again = |error: reqwest::Error| Failed::Again { why: causes(&error), after: None };
        response.json::<Uploaded>().await.map(|uploaded| uploaded.id).map_err(again)
    }

    /// Deletes an archive.
    pub async fn delete(&self, id: &str) -> Result<(), StorageError> {
        self.often(WRITE_AGAIN, || async { self.ask(self.request(Method::DELETE, Some(id)), id).await.map(drop) }).await
    }

    /// The ids of all archives that may be seen, in no order.
    pub async fn list(&self) -> Result<Vec<String>, StorageError> {
        self.often(READ_AGAIN, || async {
            let response = self.ask(self.request(Method::GET, None), "").await?;
            response.json().await.map_err(|error| Failed::Again { why: causes(&error), after: None })
        })
        .await
    }

    /// Whether there is an archive with this id.
    pub async fn has(&self, id: &str) -> Result<bool, StorageError> {
        let asked =
            self.often(READ_AGAIN, || async { self.ask(self.request(Method::HEAD, Some(id)), id).await.map(drop) });
        match asked.await {
            Ok(()) => Ok(true),
            Err(StorageError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, id: Option<&str>) -> Request {
        let mut url = self.shared.url.clone();
        if let Some(id) = id {
            url.query_pairs_mut().append_pair("id", id);
        }
        Request::new(method, url)
    }

    async fn ask(&self, request: Request, id: &str) -> Result<Response, Failed> {
        self.ask_digest(request, id, digest(&SHA256, b"").as_ref()).await
    }

    async fn ask_digest(&self, mut request: Request, id: &str, digest: &[u8]) -> Result<Response, Failed> {
        let Remote { key, namespace, client, .. } = self.shared.as_ref();
        if let Some(key) = key {
            // Signs what has a URL and a method; these always have.
            let _ = signed::sign_digest(key, &mut request, digest);
            if let Some(namespace) = namespace.as_ref().and_then(|namespace| namespace.parse().ok()) {
                request.headers_mut().insert(NAMESPACE_HEADER, namespace);
            }
        }
        match client.execute(request).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(refused(response, id).await),
            Err(error) => Err(Failed::Again { why: causes(&error), after: None }),
        }
    }

    /// Tries until it works, cannot work, or was tried too often.
    async fn often<T, F>(&self, first_wait: Duration, mut attempt: impl FnMut() -> F) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let mut tried = 0;
        loop {
            let (why, after) = match attempt().await {
                Ok(done) => return Ok(done),
                Err(Failed::Ended(error)) => return Err(error),
                Err(Failed::Again { why, after }) => (why, after),
            };
            if tried == RETRIES {
                return Err(StorageError::Unreachable { why: format!("{why}, {} times", tried + 1) });
            }
            tracing::info!(why, tried, "the storage service did not do it; trying again");
            tokio::time::sleep(after.unwrap_or(first_wait * 2u32.pow(tried)).min(LONGEST_WAIT)).await;
            tried += 1;
        }
    }
}

/// What an answer means that is no success.
async fn refused(response: Response, id: &str) -> Failed {
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        return Failed::Ended(StorageError::Refused { why: signed::not_accepted(response.headers()) });
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let text: String = response.text().await.unwrap_or_default().trim().chars().take(QUOTED).collect();
    let again = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
    if again {
        return Failed::Again { why: format!("it answered {status}: {text}"), after: after.map(Duration::from_secs) };
    }
    Failed::Ended(match status {
        StatusCode::NOT_FOUND if !id.is_empty() => StorageError::NotFound { id: id.to_owned() },
        StatusCode::PAYLOAD_TOO_LARGE => StorageError::Refused {
            why: "it takes no archive of this size (STORAGE_MAX_ARCHIVE_SIZE_MIB of the storage service)".to_owned(),
        },
        status => StorageError::Refused { why: format!("it answered {status}: {text}") },
    })
}

/// An upload: read twice from its file, once for the signature, so that it is never in memory as a whole.
struct Form {
    file: Arc<File>,
    file_bytes: u64,
    file_digest: String,
    boundary: String,
    head: Bytes,
    tail: Bytes,
    /// Of everything.
    digest: Vec<u8>,
}

impl Form {
    /// Reads the file. Blocking.
    fn of(file: File) -> io::Result<Self> {
        let boundary = format!("fission-{}", Uuid::new_v4().simple());
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"uploadfile\"; filename=\"archive\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let (mut all, mut own) = (Context::new(&SHA256), Context::new(&SHA256));
        all.update(head.as_bytes());
        let (mut buffer, mut file_bytes) = (vec![0; READ_BYTES], 0u64);
        loop {
            match file.read_at(&mut buffer, file_bytes)? {
                0 => break,
                read => {
                    all.update(&buffer[..read]);
                    own.update(&buffer[..read]);
                    file_bytes += read as u64;
                }
            }
        }
        all.update(tail.as_bytes());
        Ok(Self {
            file: Arc::new(file),
            file_bytes,
            file_digest: hex(own.finish().as_ref()),
            boundary,
            head: head.into(),
            tail: tail.into(),
            digest: all.finish().as_ref().to_vec(),
        })
    }

    fn bytes(&self) -> u64 {
        self.head.len() as u64 + self.file_bytes + self.tail.len() as u64
    }

    fn stream(&self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        // Read by place: another try must not find the file where this one left it.
        let pieces = stream::try_unfold((self.file.clone(), 0u64), |(file, at)| async move {
            let reading = file.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; READ_BYTES];
                let read = reading.read_at(&mut buffer, at)?;
                buffer.truncate(read);
                Ok::<_, io::Error>(buffer)
            });
            let buffer = read.await??;
            let next = at + buffer.len() as u64;
            Ok((!buffer.is_empty()).then(|| (Bytes::from(buffer), (file, next))))
        });
        let around = |bytes: &Bytes| stream::iter([Ok(bytes.clone())]);
        around(&self.head).chain(pieces).chain(around(&self.tail))
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
