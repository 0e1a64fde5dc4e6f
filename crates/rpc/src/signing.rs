//! Signed requests between components: channel keys derived from one master secret, HMAC over method, URI and body.
//!
//! Headers are not covered: anything that decides about security must be in the method, the URI or the body. There is
//! no nonce, so a captured request can be replayed for [`FRESHNESS_SECONDS`].

use std::fmt;

use aws_lc_rs::{digest, hkdf, hmac};

/// Header: unix seconds of signing, in decimal.
pub const TIMESTAMP_HEADER: &str = "x-fission-auth-timestamp";
/// Header: lower-case hex of the signature.
pub const SIGNATURE_HEADER: &str = "x-fission-auth-signature";
/// Header: namespace whose key signed; absent when the key is not bound to one. Not signed itself.
pub const NAMESPACE_HEADER: &str = "x-fission-auth-namespace";

/// How far the signer's clock may be from ours, either way, in seconds.
pub const FRESHNESS_SECONDS: i64 = 60;

/// Channel of the router's internal listener.
pub const ROUTER_INTERNAL: &str = "router-internal";
/// Channel of the storage service.
pub const STORAGE: &str = "storagesvc";
/// Channel of the executor.
pub const EXECUTOR: &str = "executor";
/// Channel of the builder service.
pub const BUILDER: &str = "builder";
/// Channel of the fetcher.
pub const FETCHER: &str = "fetcher";
/// Channel of the log store.
pub const LOGS: &str = "logs";

/// Bytes of a channel key.
const KEY_BYTES: usize = 32;
/// Separates these keys from any other use of the same master secret; fixed by the protocol.
const PURPOSE: &str = "fission-internal-v1";

/// Why a signed request was not accepted. Callers answer 401 without a body, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// One of the two headers is absent or not readable.
    #[error("the request carries no readable {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}")]
    Missing,
    /// The clocks differ too much, or the request is old.
    #[error(
        "the signature is {age_seconds} s away from this machine's clock; at most {FRESHNESS_SECONDS} s are accepted"
    )]
    Stale {
        /// Our clock minus the signer's.
        age_seconds: i64,
    },
    /// No known key makes this signature for this method, URI and body.
    #[error(
        "the signature does not match: the two sides hold different secrets, or the request was changed on its way"
    )]
    Mismatch,
}

/// The key of one channel. Never printed.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key of a service's channel, bound to one namespace if that is given.
    pub fn derive(master: &[u8], service: &str, namespace: Option<&str>) -> Self {
        Self::from_bytes(&derived(master, service, namespace))
    }

    /// A key that was derived elsewhere and handed over, as to tenants who may not see the master secret.
    pub fn from_bytes(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }
}

/// The bytes of a channel's key, to be handed to those who may not see the master secret.
pub fn derived(master: &[u8], service: &str, namespace: Option<&str>) -> [u8; KEY_BYTES] {
    let info = match namespace {
        Some(namespace) => format!("{PURPOSE}:{service}:{namespace}"),
        None => format!("{PURPOSE}:{service}"),
    };
    let mut key = [0; KEY_BYTES];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(master);
    let info = [info.as_bytes()];
    let filled = extracted.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
    // Expanding one hash length cannot fail; a key of zeros must never be used all the same.
    assert!(filled.is_ok(), "HKDF-SHA256 refused to make {KEY_BYTES} bytes");
    key
}

/// What a signer adds to its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Value of [`TIMESTAMP_HEADER`].
    pub timestamp: String,
    /// Value of [`SIGNATURE_HEADER`].
    pub signature: String,
}

/// Signs a request. `request_uri` is the path with `?` and the raw query, exactly as it will be sent.
pub fn sign(key: &Key, method: &str, request_uri: &str, body: &[u8], now_unix: i64) -> Signature {
    sign_digest(key, method, request_uri, digest::digest(&digest::SHA256, body).as_ref(), now_unix)
}

/// Signs a request whose body is too large to be held: `digest` is the sha256 of it.
pub fn sign_digest(key: &Key, method: &str, request_uri: &str, digest: &[u8], now_unix: i64) -> Signature {
    let tag = hmac::sign(&key.0, canonical(method, request_uri, digest, now_unix).as_bytes());
    Signature { timestamp: now_unix.to_string(), signature: hex(tag.as_ref()) }
}

/// Checks what can be checked before the body is read: that both headers are there, and the time.
pub fn check_fresh(timestamp: Option<&str>, signature: Option<&str>, now_unix: i64) -> Result<(), SignatureError> {
    let (Some(timestamp), Some(_)) = (timestamp, signature) else { return Err(SignatureError::Missing) };
    fresh(timestamp, now_unix).map(|_| ())
}

/// Checks a signature against the current key and, while secrets rotate, the old one.
pub fn verify(
    keys: &[Key],
    method: &str,
    request_uri: &str,
    body: &[u8],
    timestamp: &str,
    signature: &str,
    now_unix: i64,
) -> Result<(), SignatureError> {
    let signed_at = fresh(timestamp, now_unix)?;
    let signature = unhex(signature).ok_or(SignatureError::Missing)?;
    let digest = digest::digest(&digest::SHA256, body);
    let canonical = canonical(method, request_uri, digest.as_ref(), signed_at);
    // `hmac::verify` compares in constant time. Which of two keys matched is no secret.
    if keys.iter().any(|key| hmac::verify(&key.0, canonical.as_bytes(), &signature).is_ok()) {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

fn fresh(timestamp: &str, now_unix: i64) -> Result<i64, SignatureError> {
    let signed_at: i64 = timestamp.parse().map_err(|_| SignatureError::Missing)?;
    let age_seconds = now_unix.saturating_sub(signed_at);
    if age_seconds.saturating_abs() <= FRESHNESS_SECONDS {
        Ok(signed_at)
    } else {
        Err(SignatureError::Stale { age_seconds })
    }
}

fn canonical(method: &str, request_uri: &str, digest: &[u8], unix: i64) -> String {
    let body = hex(digest);
    let minute = unix - unix.rem_euclid(60);
    format!("{method}\n{request_uri}\n{body}\n{minute}")
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Only what [`hex`] makes: lower case, whole bytes.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
