//! The API's socket: HTTP and HTTPS on one port, bearer tokens, and the few paths beside the Kubernetes API.
//!
//! kubectl sends tokens only over TLS and `FISSION_URL=http://...` must work too, so the first byte of a connection
//! decides: a TLS handshake begins with 0x16, no HTTP request does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use fission_apiserver::ApiServer;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::credentials::Credentials;

/// Longest a client may take to send its request head or TLS handshake, as on every Fission listener.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// First byte of a TLS record that carries a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// Longest a shutdown waits for requests in flight; watches are cut at once.
const DRAIN: Duration = Duration::from_secs(5);
/// Paths anyone may ask: they tell only that the server lives.
const OPEN_PATHS: &[&str] = &["/healthz", "/livez", "/readyz"];

/// What answers behind the API's socket.
pub(crate) struct ApiListener {
    /// The Kubernetes-style API.
    pub(crate) api: ApiServer,
    /// Paths that are not Kubernetes': storage, logs, platform status, metrics.
    pub(crate) beside: axum::Router,
    /// Who may ask.
    pub(crate) credentials: Arc<Credentials>,
}

/// Paths answered by [`ApiListener::beside`].
const BESIDE: &[&str] = &["/v1/archive", "/fission/v1/", "/metrics"];

impl ApiListener {
    /// Serves until cancelled, then lets requests in flight end.
    pub(crate) async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        let tls = TlsAcceptor::from(Arc::new(tls_config(&self.credentials)?));
        let shared = Arc::new(self);
        let connections = TaskTracker::new();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, most likely: accepting again at once would only spin.
                        tracing::warn!(%error, "the API could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = shutdown.cancelled() => break,
            };
            let (shared, tls, shutdown) = (shared.clone(), tls.clone(), shutdown.clone());
            connections.spawn(async move {
                if let Err(error) = connection(shared, tls, stream, shutdown).await {
                    tracing::debug!(%peer, %error, "API connection ended");
                }
            });
        }
        connections.close();
        let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if !OPEN_PATHS.contains(&path) && !self.is_allowed(&request) {
            return unauthorized();
        }
        if BESIDE.iter().any(|beside| path == *beside || (beside.ends_with('/') && path.starts_with(beside))) {
            let answered: Result<_, Infallible> = self.beside.clone().oneshot(request.map(Body::new)).await;
            return answered.unwrap_or_else(|never| match never {});
        }
        self.api.handle(request).await.map(Body::new)
    }

    fn is_allowed(&self, request: &Request<Incoming>) -> bool {
        let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|token| self.credentials.accepts(token))
    }
}

async fn connection(
    shared: Arc<ApiListener>,
    tls: TlsAcceptor,
    stream: TcpStream,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    let peeked = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await??;
    if peeked == 0 {
        return Ok(());
    }
    if first[0] == TLS_HANDSHAKE {
        let stream = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await??;
        requests(shared, stream, shutdown).await
    } else {
        requests(shared, stream, shutdown).await
    }
}

async fn requests<S>(shared: Arc<ApiListener>, stream: S, shutdown: CancellationToken) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(|error| anyhow::anyhow!(error)),
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // A watch would hold the connection open for minutes; its client takes it up again elsewhere.
    let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
    Ok(())
}

fn tls_config(credentials: &Credentials) -> anyhow::Result<rustls::ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(credentials.certificate_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes())?;
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn unauthorized() -> Response<Body> {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Unauthorized", "code": 401,
        "message": "this API needs the bearer token of the running platform; it is in the kubeconfig of its data \
                    folder (see `fission status`)",
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"fission\""));
    response
}

/// Host names and addresses the certificate of a listener on `address` must carry.
pub(crate) fn certificate_hosts(address: SocketAddr) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let ip = address.ip().to_string();
    if !address.ip().is_unspecified() && !hosts.contains(&ip) {
        hosts.push(ip);
    }
    hosts
}
