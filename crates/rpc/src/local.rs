//! Instances inside this process: what is called in place of a socket.
//!
//! A request and its response pass as values; whoever waits for the response, and then for its body, drives the instance.
//! Dropping either ends what the instance does for it.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;

use crate::refusal::Refusal;

/// A body on its way to or from an instance inside this process.
pub type LocalBody = UnsyncBoxBody<Bytes, LocalBodyError>;

/// A call in progress: the head of the response, or why there is none.
pub type LocalCall = Pin<Box<dyn Future<Output = Result<Response<LocalBody>, Refusal>> + Send>>;

/// Why a body ended early, in words that follow what it is the body of.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocalBodyError(pub String);

/// An instance inside this process.
pub trait LocalService: Send + Sync + 'static {
    /// Serves one request. Nothing happens until the call is polled. It sets no limit of time; its caller drops it.
    fn call(&self, request: Request<LocalBody>) -> LocalCall;
}

/// An instance inside this process, as an address. Equal to itself alone.
#[derive(Clone)]
pub struct Local(pub Arc<dyn LocalService>);

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl PartialEq for Local {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Local {}

impl Hash for Local {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}
