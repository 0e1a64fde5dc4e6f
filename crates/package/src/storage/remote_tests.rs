//! The client against the real service, signatures included.

use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use fission_rpc::signed::Verifier;
use fission_rpc::signing::STORAGE;

use super::*;
use crate::storage::{Options, Storage, http_of_tenants};

const MASTER: &[u8] = b"test-master";

fn key(namespace: Option<&str>) -> Key {
    Key::derive(MASTER, STORAGE, namespace)
}

struct World {
    _dir: tempfile::TempDir,
    address: String,
}

impl World {
    async fn new() -> Self {
        Self::with(|router| router).await
    }

    async fn with(more: impl FnOnce(Router) -> Router) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path(), Options { max_archive_bytes: 1 << 20 }).unwrap();
        let verifier = Verifier::new(vec![key(None)], 2 << 20).with_tenants(|namespace| vec![key(Some(namespace))]);
        let shared = BTreeSet::from(["all-functions".to_owned()]);
        let router = more(verifier.protect(http_of_tenants(storage, shared)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { _dir: dir, address }
    }

    fn as_platform(&self) -> RemoteStorage {
        RemoteStorage::new(&self.address, Some(key(None)), None).unwrap()
    }

    fn as_tenant(&self, namespace: &str) -> RemoteStorage {
        RemoteStorage::new(&self.address, Some(key(Some(namespace))), Some(namespace.to_owned())).unwrap()
    }
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

async fn read(storage: &RemoteStorage, id: &str) -> Result<Vec<u8>, StorageError> {
    let file = tempfile::tempfile().unwrap();
    let digested = storage.fetch(id, file.try_clone().unwrap(), 1 << 20).await?;
    let mut content = Vec::new();
    (&file).rewind().unwrap();
    io::Read::read_to_end(&mut &file, &mut content).unwrap();
    assert_eq!(digested, hex(digest(&SHA256, &content).as_ref()));
    Ok(content)
}

fn is_missing<T>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::NotFound { .. }))
}

#[tokio::test]
async fn what_is_stored_is_read_again_listed_and_deleted() {
    let world = World::new().await;
    let storage = world.as_platform();
    let content = vec![7; 600_000];
    let (id, sum) = storage.put_file(file(&content)).await.unwrap();
    assert_eq!(sum, hex(digest(&SHA256, &content).as_ref()));
    assert!(read(&storage, &id).await.unwrap() == content);
    assert_eq!(storage.list().await.unwrap(), std::slice::from_ref(&id));
    assert!(storage.has(&id).await.unwrap());
    storage.delete(&id).await.unwrap();
    assert!(!storage.has(&id).await.unwrap());
    assert!(is_missing(read(&storage, &id).await));
}

#[tokio::test]
async fn what_belongs_to_another_namespace_does_not_exist() {
    let world = World::new().await;
    let (platform, a, b) = (world.as_platform(), world.as_tenant("a"), world.as_tenant("b"));
    let (of_a, _) = a.put_file(file(b"a")).await.unwrap();
    let (of_all, _) = platform.put_file(file(b"all")).await.unwrap();
    assert!(of_a.starts_with("fission-functions/_tenant_/a/"), "{of_a}");
    assert!(is_missing(read(&b, &of_a).await) && is_missing(b.delete(&of_a).await) && !b.has(&of_a).await.unwrap());
    assert_eq!((b.list().await.unwrap(), a.list().await.unwrap()), (vec![], vec![of_a.clone()]));
    for reader in [&platform, &a] {
        assert_eq!(read(reader, &of_a).await.unwrap(), b"a");
    }
    assert_eq!(read(&b, &of_all).await.unwrap(), b"all");
    let sneaky = of_a.replace("_tenant_/a", "_tenant_/b/../a");
    for reader in [&platform, &a, &b] {
        assert!(is_missing(read(reader, &sneaky).await));
    }
    a.delete(&of_a).await.unwrap();
}

#[tokio::test]
async fn pods_of_all_namespaces_in_one_read_everything_and_mark_nothing() {
    let world = World::new().await;
    let (shared, a) = (world.as_tenant("all-functions"), world.as_tenant("a"));
    let (of_a, _) = a.put_file(file(b"a")).await.unwrap();
    assert_eq!(read(&shared, &of_a).await.unwrap(), b"a");
    assert!(is_missing(shared.delete(&of_a).await));
    let (of_all, _) = shared.put_file(file(b"all")).await.unwrap();
    assert_eq!(read(&a, &of_all).await.unwrap(), b"all");
}

#[tokio::test]
async fn a_wrong_key_and_a_file_too_large_are_told_and_not_tried_again() {
    let world = World::new().await;
    let stranger = RemoteStorage::new(&world.address, Some(Key::from_bytes(b"x")), None).unwrap();
    let refused = stranger.list().await.unwrap_err().to_string();
    assert!(refused.contains("different secrets"), "{refused}");
    let large = world.as_platform().put_file(file(&vec![0; (1 << 20) + 1])).await.unwrap_err().to_string();
    assert!(large.contains("STORAGE_MAX_ARCHIVE_SIZE_MIB"), "{large}");
    let storage = world.as_platform();
    let (id, _) = storage.put_file(file(b"four")).await.unwrap();
    let bounded = storage.fetch(&id, tempfile::tempfile().unwrap(), 3).await;
    assert!(matches!(bounded, Err(StorageError::TooLarge { max: 3 })));
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again_with_the_whole_body() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let busy = |request: axum::extract::Request, next: Next| async move {
        match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 => (axum::http::StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "busy").into_response(),
            1 => axum::http::StatusCode::TOO_MANY_REQUESTS.into_response(),
            _ => next.run(request).await,
        }
    };
    let world = World::with(|router| router.layer(from_fn(busy))).await;
    let storage = world.as_platform();
    let (id, _) = storage.put_file(file(b"content")).await.unwrap();
    assert_eq!(CALLS.load(Ordering::SeqCst), 3);
    assert_eq!(read(&storage, &id).await.unwrap(), b"content");
}
