//! `/v1/archive`: the storage service over HTTP, as Fission's clients speak it.
//!
//! Who asks decides what there is: what belongs to another namespace does not exist. A [`Tenant`] is put into a request by
//! the check of its signature; a request without one is the platform's, or that of the user of this machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, Extension, Multipart, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use fission_rpc::signed::Tenant;
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::hear_out::hear_out;
use super::{Storage, StorageError, owner};

/// Name of the form field that carries the file.
const FIELD: &str = "uploadfile";
/// Header with the size of the file in bytes; required.
const FILE_SIZE: &str = "x-file-size";
/// Header that says what keeps the archives.
const STORAGE_TYPE: HeaderName = HeaderName::from_static("x-fission-storagetype");
/// Bytes a form may have beyond its file: boundaries, part headers, other small fields.
pub const FORM_OVERHEAD_BYTES: u64 = 64 * 1024;
/// Longest silence of an uploading client.
const UPLOAD_IDLE: Duration = Duration::from_secs(60);

/// The storage service as a router. It lets everybody in: mount it where callers have been checked.
pub fn http(storage: Storage) -> Router {
    http_of_tenants(storage, BTreeSet::new())
}

/// The same where `shared` are namespaces with the pods of all others: these may read everything, and what they store is
/// everybody's.
pub fn http_of_tenants(storage: Storage, shared: BTreeSet<String>) -> Router {
    let form = storage.options().max_archive_bytes.saturating_add(FORM_OVERHEAD_BYTES);
    let limit = DefaultBodyLimit::max(usize::try_from(form).unwrap_or(usize::MAX));
    Router::new()
        .route("/v1/archive", get(download).head(head).post(upload).delete(delete))
        .route("/healthz", get(|| async { StatusCode::OK }))
        .layer(limit)
        .layer(middleware::from_fn(hear_out))
        .with_state(Served { storage, shared: shared.into() })
}

#[derive(Clone)]
struct Served {
    storage: Storage,
    shared: Arc<BTreeSet<String>>,
}

/// Who asks.
enum Caller {
    /// The platform.
    Platform,
    /// Pods of several namespaces.
    Shared,
    /// Pods of this namespace.
    Tenant(String),
}

impl Served {
    fn caller(&self, tenant: Option<Extension<Tenant>>) -> Caller {
        match tenant {
            None => Caller::Platform,
            Some(Extension(Tenant(namespace))) if self.shared.contains(&namespace) => Caller::Shared,
            Some(Extension(Tenant(namespace))) => Caller::Tenant(namespace),
        }
    }
}

impl Caller {
    /// The namespace what it stores belongs to.
    fn namespace(&self) -> Option<&str> {
        match self {
            Self::Platform | Self::Shared => None,
            Self::Tenant(namespace) => Some(namespace),
        }
    }

    fn may_read(&self, id: &str) -> bool {
        matches!(self, Self::Platform | Self::Shared) || owner(id).is_none() || owner(id) == self.namespace()
    }

    fn may_delete(&self, id: &str) -> bool {
        matches!(self, Self::Platform) || owner(id).is_none() || owner(id) == self.namespace()
    }

    /// Ids nobody told it of are of no use to it.
    fn may_list(&self, id: &str) -> bool {
        matches!(self, Self::Platform) || (self.namespace().is_some() && owner(id) == self.namespace())
    }
}

/// The answer to what is another's: no word that it exists.
fn not_there(id: &str) -> Response {
    refusal(&StorageError::NotFound { id: id.to_owned() }).into_response()
}

type Whose = Option<Extension<Tenant>>;

#[derive(Deserialize)]
struct Selected {
    id: Option<String>,
}

#[derive(Serialize)]
struct Uploaded {
    id: String,
}

async fn upload(State(served): State<Served>, whose: Whose, headers: HeaderMap, form: Multipart) -> Response {
    match receive(&served.storage, &served.caller(whose), &headers, form).await {
        Ok(id) => Json(Uploaded { id }).into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn receive(
    storage: &Storage,
    caller: &Caller,
    headers: &HeaderMap,
    mut form: Multipart,
) -> Result<String, (StatusCode, String)> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let size = headers.get(FILE_SIZE).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u64>().ok());
    let size = size.ok_or_else(|| bad("the header X-File-Size must give the file's size in bytes".to_owned()))?;
    let max = storage.options().max_archive_bytes;
    if size > max {
        return Err(refusal(&StorageError::TooLarge { max }));
    }
    let broken = |error: MultipartError| (error.status(), format!("the form cannot be read: {}", error.body_text()));
    while let Some(field) = form.next_field().await.map_err(broken)? {
        if field.name() == Some(FIELD) {
            let content = exactly(size, field);
            return storage.put_of(caller.namespace(), content).await.map_err(|error| refusal(&error));
        }
    }
    Err(bad(format!("the form has no file in a field named {FIELD}")))
}

/// The pieces of a file that must have `size` bytes and may not stall.
fn exactly(size: u64, field: Field<'_>) -> impl Stream<Item = Result<Bytes, String>> {
    stream::try_unfold((field, 0u64), move |(mut field, got)| async move {
        let idle = |_| format!("nothing came for {} s", UPLOAD_IDLE.as_secs());
        let piece = tokio::time::timeout(UPLOAD_IDLE, field.chunk()).await.map_err(idle)?;
        match piece.map_err(|error| error.body_text())? {
            Some(piece) if got + piece.len() as u64 <= size => {
                let got = got + piece.len() as u64;
                Ok(Some((piece, (field, got))))
            }
            None if got == size => Ok(None),
            Some(_) => Err(format!("the file has more than the {size} bytes X-File-Size says")),
            None => Err(format!("the file has {got} bytes and X-File-Size says {size}")),
        }
    })
}

async fn download(State(served): State<Served>, whose: Whose, Query(selected): Query<Selected>) -> Response {
    let (caller, storage) = (served.caller(whose), served.storage);
    let Some(id) = selected.id else {
        let ids = |all: Vec<super::Stored>| all.into_iter().map(|stored| stored.id).filter(|id| caller.may_list(id));
        return match storage.list().await {
            Ok(all) => Json(ids(all).collect::<Vec<_>>()).into_response(),
            Err(error) => refusal(&error).into_response(),
        };
    };
    if !caller.may_read(&id) {
        return not_there(&id);
    }
    match storage.get(&id).await {
        Ok((size, content)) => {
            let mut response = Body::from_stream(content.boxed()).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
        Err(error) => refusal(&error).into_response(),
    }
}

async fn head(State(served): State<Served>, whose: Whose, Query(selected): Query<Selected>) -> Response {
    let (caller, storage) = (served.caller(whose), served.storage);
    let Some(id) = selected.id else { return no_id() };
    if !caller.may_read(&id) {
        return not_there(&id);
    }
    match storage.stored(&id).await {
        Ok(_) => [(STORAGE_TYPE, "local")].into_response(),
        Err(error) => refusal(&error).into_response(),
    }
}

async fn delete(State(served): State<Served>, whose: Whose, Query(selected): Query<Selected>) -> Response {
    let (caller, storage) = (served.caller(whose), served.storage);
    let Some(id) = selected.id else { return no_id() };
    if !caller.may_delete(&id) {
        return not_there(&id);
    }
    match storage.delete(&id).await {
        Ok(()) => StatusCode::OK.into_response(),
        // Fission's answer to deleting what is not there.
        Err(error @ StorageError::NotFound { .. }) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        Err(error) => refusal(&error).into_response(),
    }
}

fn no_id() -> Response {
    (StatusCode::BAD_REQUEST, "give the archive's id: /v1/archive?id=<id>").into_response()
}

fn refusal(error: &StorageError) -> (StatusCode, String) {
    let status = match error {
        StorageError::NotFound { .. } => StatusCode::NOT_FOUND,
        StorageError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        StorageError::Incomplete { .. } => StatusCode::BAD_REQUEST,
        StorageError::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
        StorageError::Unreachable { .. } | StorageError::Refused { .. } => StatusCode::BAD_GATEWAY,
        StorageError::Open { .. } | StorageError::Disk { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}
