//! A registry of OCI images in memory, and archives to fill it with, well-formed or not.
//!
//! It serves manifests by tag and by any digest, so that a test can have it lie: what it gives for a digest is what it was
//! last told to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::{JoinHandle, JoinSet};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A registry on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// By `repository:tag` and `repository@digest`.
    manifests: HashMap<String, Bytes>,
    blobs: HashMap<String, Bytes>,
    /// What `Authorization` must be.
    authorization: Option<String>,
    /// Paths that were asked for and answered.
    served: Vec<String>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Registry {
    /// An empty one.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0)).await
    }

    /// An empty one at this address.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start_at(address: impl ToSocketAddrs) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state: Arc<Mutex<State>> = Arc::default();
        let serving = tokio::spawn(serve(listener, state.clone()));
        Ok(Self { address, state, serving })
    }

    /// `address:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Puts an image of these layers there, the lowest first; returns its digest.
    pub fn push(&self, repository: &str, tag: &str, layers: &[Vec<u8>]) -> String {
        let config = b"{}".to_vec();
        let described =
            |kind: &str, content: &[u8]| json!({ "mediaType": kind, "digest": sha256(content), "size": content.len() });
        let layers_described: Vec<_> = layers.iter().map(|layer| described(LAYER, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, &config), "layers": layers_described,
        });
        let mut state = lock(&self.state);
        for content in layers.iter().chain([&config]) {
            state.blobs.insert(sha256(content), content.clone().into());
        }
        drop(state);
        self.push_manifest(repository, tag, manifest.to_string().into_bytes())
    }

    /// Puts a manifest there, whatever it says; returns its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: Vec<u8>) -> String {
        let digest = sha256(&manifest);
        self.claim(repository, &digest, manifest.clone());
        lock(&self.state).manifests.insert(format!("{repository}:{tag}"), manifest.into());
        digest
    }

    /// From now on this is what it gives for a digest of a manifest.
    pub fn claim(&self, repository: &str, digest: &str, manifest: Vec<u8>) {
        lock(&self.state).manifests.insert(format!("{repository}@{digest}"), manifest.into());
    }

    /// From now on this is what it gives for a digest of a layer.
    pub fn claim_layer(&self, digest: &str, layer: Vec<u8>) {
        lock(&self.state).blobs.insert(digest.to_owned(), layer.into());
    }

    /// From now on only this user is served.
    pub fn require(&self, username: &str, password: &str) {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        lock(&self.state).authorization = Some(format!("Basic {pair}"));
    }

    /// How often a manifest or layer was given.
    pub fn served(&self) -> usize {
        lock(&self.state).served.len()
    }
}

/// `sha256:...` of content.
pub fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One entry of a layer. Names and modes are written as they are.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// Name, mode, content.
    File(&'a str, u32, &'a str),
    /// Name.
    Folder(&'a str),
    /// Name and where it leads.
    Symlink(&'a str, &'a str),
    /// Name and what it is the same as.
    HardLink(&'a str, &'a str),
    /// Name of a character device.
    Device(&'a str),
}

/// A layer of these entries.
///
/// # Panics
/// When a name has more than 100 bytes.
pub fn layer(items: &[Item<'_>]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut archive = Vec::new();
    for item in items {
        let (kind, name, mode, content, link) = match *item {
            Item::File(name, mode, content) => (b'0', name, mode, content, ""),
            Item::Folder(name) => (b'5', name, 0o777, "", ""),
            Item::Symlink(name, to) => (b'2', name, 0o777, "", to),
            Item::HardLink(name, to) => (b'1', name, 0o644, "", to),
            Item::Device(name) => (b'3', name, 0o666, "", ""),
        };
        let mut header = [0u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(name.len() <= 100 && link.len() <= 100, "a name that fits into a header");
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content.as_bytes());
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let state = state.clone();
                async move { Ok::<_, Infallible>(answer(&mut lock(&state), &request)) }
            });
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(state: &mut State, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if state.authorization.as_deref().is_some_and(|wanted| given != Some(wanted)) {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Basic realm=\"test\""));
        return response;
    }
    let path = request.uri().path();
    let Some(rest) = path.strip_prefix("/v2/") else { return missing() };
    if rest.is_empty() {
        return Response::new(Full::default());
    }
    let found = if let Some((repository, reference)) = rest.split_once("/manifests/") {
        let separator = if reference.contains(':') { '@' } else { ':' };
        state.manifests.get(&format!("{repository}{separator}{reference}"))
    } else {
        rest.split_once("/blobs/").and_then(|(_, digest)| state.blobs.get(digest))
    };
    let Some(content) = found.cloned() else { return missing() };
    state.served.push(path.to_owned());
    let mut response = Response::new(Full::new(content));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(MANIFEST));
    response
}

fn missing() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(
        br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}"#,
    )));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
