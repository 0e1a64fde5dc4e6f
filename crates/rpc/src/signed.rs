//! Signed HTTP: what a server puts before its routes, and what a client does to its requests. See [`crate::signing`].

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;

use crate::signing::{self, Key};

/// What whoever looks after the process asks, who has no key.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/readyz", "/readiness-healthz"];

/// Longest name of a namespace.
const NAMESPACE_BYTES: usize = 63;

/// Derives the keys of a namespace.
type KeysOf = dyn Fn(&str) -> Vec<Key> + Send + Sync;

/// What a server checks requests with.
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<[Key]>,
    tenants: Option<Arc<KeysOf>>,
    max_body: usize,
}

/// The namespace whose key signed a request, as an extension of it. A request without one was signed by the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub String);

impl Verifier {
    /// Accepts what one of `keys` signed. `max_body`: bytes of a body, which is read whole before anything else sees it.
    pub fn new(keys: Vec<Key>, max_body: usize) -> Self {
        Self { keys: keys.into(), tenants: None, max_body }
    }

    /// Also accepts what a namespace's own key signed, where the request names the namespace; its handler then finds a
    /// [`Tenant`]. `keys` derives the keys of a namespace.
    pub fn with_tenants(self, keys: impl Fn(&str) -> Vec<Key> + Send + Sync + 'static) -> Self {
        Self { tenants: Some(Arc::new(keys)), ..self }
    }

    /// Puts the check before every route but the health ones. Failures are 401, 413 or 400 without a body.
    pub fn protect(self, router: axum::Router) -> axum::Router {
        router.layer(from_fn_with_state(self, verify))
    }

    async fn check(&self, request: Request) -> Result<Request, StatusCode> {
        let (mut parts, body) = request.into_parts();
        // Nobody but this check says whose a request is.
        parts.extensions.remove::<Tenant>();
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let (timestamp, signature) = (text(signing::TIMESTAMP_HEADER), text(signing::SIGNATURE_HEADER));
        let named = text(signing::NAMESPACE_HEADER).unwrap_or_default();
        let tenant = self.tenants.as_ref().filter(|_| !named.is_empty()).map(|keys| (named.to_owned(), keys));
        if tenant.as_ref().is_some_and(|(name, _)| !is_namespace(name)) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        // Before the body, so that strangers cannot make us read much.
        signing::check_fresh(timestamp, signature, now()).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let body = match Limited::new(body, self.max_body).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        let uri = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let (timestamp, signature) = (timestamp.unwrap_or_default(), signature.unwrap_or_default());
        // The header is not signed, and need not be: another name means other keys.
        let own = tenant.as_ref().map(|(name, keys)| keys(name));
        let keys = own.as_deref().unwrap_or(&self.keys);
        signing::verify(keys, parts.method.as_str(), uri, &body, timestamp, signature, now())
            .map_err(|_| StatusCode::UNAUTHORIZED)?;
        if let Some((name, _)) = tenant {
            parts.extensions.insert(Tenant(name));
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }
}

/// Whether it is the name of a namespace: it becomes part of paths.
fn is_namespace(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAMESPACE_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

async fn verify(State(verifier): State<Verifier>, request: Request, next: Next) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match verifier.check(request).await {
        Ok(request) => next.run(request).await,
        Err(status) => status.into_response(),
    }
}

/// A client for requests between components: no proxy, and no TLS, so that no certificates of a system are read, which
/// takes long and which an image need not have.
pub fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}

/// Signs a request that is ready to be sent. A body that is a stream cannot be signed; `None` then.
pub fn sign(key: &Key, request: &mut reqwest::Request) -> Option<()> {
    let body = match request.body() {
        None => &[],
        Some(body) => body.as_bytes()?,
    };
    let digest = digest::digest(&digest::SHA256, body);
    sign_digest(key, request, digest.as_ref())
}

/// Signs a request whose body has this sha256.
pub fn sign_digest(key: &Key, request: &mut reqwest::Request, digest: &[u8]) -> Option<()> {
    let url = request.url();
    let uri = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let signature = signing::sign_digest(key, request.method().as_str(), &uri, digest, now());
    let headers = request.headers_mut();
    headers.insert(signing::TIMESTAMP_HEADER, signature.timestamp.parse().ok()?);
    headers.insert(signing::SIGNATURE_HEADER, signature.signature.parse().ok()?);
    Some(())
}

/// Why a signed request was answered 401, as far as who asked can tell: how far the two clocks are apart by the answer's
/// own `Date`, or else that the secrets differ. Reads as the end of a sentence.
pub fn not_accepted(answer: &http::HeaderMap) -> String {
    let date = answer.get(http::header::DATE).and_then(|value| value.to_str().ok());
    let there = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|zoned| zoned.timestamp().as_second());
    let apart = there.map(|there| there - now()).unwrap_or_default();
    // A signature is a second older when it arrives, and `Date` is cut to whole seconds.
    if apart.abs() + 1 >= signing::FRESHNESS_SECONDS {
        let (seconds, which) = (apart.abs(), if apart > 0 { "ahead of" } else { "behind" });
        let allowed = signing::FRESHNESS_SECONDS;
        return format!(
            "it does not accept the signature: its clock is {seconds} s {which} ours, and {allowed} s are allowed; set the \
             clocks of both machines by NTP"
        );
    }
    "it does not accept the signature: the two hold different secrets (Secret fission-internal-auth, key `secret`); \
     restart the component that started before the Secret was changed"
        .to_owned()
}

/// A number that only holders of a secret can tell from any other, different for each `name`. Adding it by XOR hides
/// what must be kept where others can read it; adding it again gives it back.
pub fn mask(master: &[u8], name: &str) -> u64 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, master);
    let tag = hmac::sign(&key, format!("fission-mask:{name}").as_bytes());
    let first: [u8; 8] = tag.as_ref()[..8].try_into().unwrap_or_default();
    u64::from_le_bytes(first)
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
