//! Servers requests are passed on to: bodies stream both ways, and so do connections that become something else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use kube::client::ConfigExt;

/// Longest a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next request; shorter than servers keep theirs.
const IDLE: Duration = Duration::from_secs(60);
/// Headers that are about one connection (RFC 9110, section 7.6.1).
const HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Sending = dyn Fn(Request<Body>) -> BoxFuture<'static, Result<Response<Incoming>, Error>> + Send + Sync;

/// A server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
    send: Arc<Sending>,
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("{authority} gave no answer: {why}")]
pub(super) struct NoAnswer {
    authority: String,
    why: String,
    /// Whether it was not even reached.
    pub(super) unreached: bool,
}

impl Upstream {
    /// The API server of a cluster. Whoever this process is to it is left out: only callers' own tokens count.
    pub(super) fn cluster(config: &Config) -> Result<Self> {
        let mut nobody = config.clone();
        nobody.auth_info = Default::default();
        let connector = nobody.rustls_https_connector_with_connector(connector()).context("TLS cannot be set up")?;
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Self::at(&config.cluster_url, Arc::new(move |request| Box::pin(client.request(request))))
    }

    /// A server of the platform, by plain HTTP.
    pub(super) fn plain(url: &str) -> Result<Self> {
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector());
        let url = url.parse().with_context(|| format!("{url:?} is not an address"))?;
        Self::at(&url, Arc::new(move |request| Box::pin(client.request(request))))
    }

    fn at(url: &Uri, send: Arc<Sending>) -> Result<Self> {
        Ok(Self {
            scheme: url.scheme().cloned().with_context(|| format!("{url} is not an address"))?,
            authority: url.authority().cloned().with_context(|| format!("{url} is not an address"))?,
            prefix: url.path().trim_end_matches('/').to_owned(),
            send,
        })
    }

    /// Passes a request on.
    pub(super) async fn pass(&self, mut request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
        let upgrade = upgrade_of(request.headers()).map(|to| (to, hyper::upgrade::on(&mut request)));
        *request.uri_mut() = self.place(request.uri().path_and_query()).map_err(|why| self.no_answer(why, false))?;
        *request.version_mut() = http::Version::HTTP_11;
        request.headers_mut().remove(header::HOST);
        remove_hop(request.headers_mut());
        if let Some((to, _)) = &upgrade {
            request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(header::UPGRADE, to.clone());
        }
        let mut response = (self.send)(request).await.map_err(|error| {
            let why = super::root_of(&error);
            self.no_answer(why, error.is_connect())
        })?;
        if let (StatusCode::SWITCHING_PROTOCOLS, Some((_, ours))) = (response.status(), upgrade) {
            let theirs = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
                // Either side may break off; there is nobody left to tell then.
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
            });
            return Ok(response.map(Body::new));
        }
        remove_hop(response.headers_mut());
        Ok(response.map(Body::new))
    }

    fn place(&self, asked: Option<&PathAndQuery>) -> Result<Uri, String> {
        let asked = asked.map_or("/", PathAndQuery::as_str);
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(format!("{}{asked}", self.prefix)).build().map_err(|error| error.to_string())
    }

    fn no_answer(&self, why: String, unreached: bool) -> NoAnswer {
        NoAnswer { authority: self.authority.to_string(), why, unreached }
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector
}

/// What a connection is to become, if it is to become something else.
fn upgrade_of(headers: &HeaderMap) -> Option<header::HeaderValue> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asks = values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asks).cloned()
}

fn remove_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
}
