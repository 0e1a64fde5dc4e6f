//! From a package to code on disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use fission_api::{Checksum, PackageSpec, PackageStatus};
use k8s_openapi::ByteString;
use zip::write::SimpleFileOptions;

use super::*;
use crate::storage::{self, Storage};

struct World {
    dir: tempfile::TempDir,
    storage: Storage,
    store: PackageStore,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().join("archives"), storage::Options::default()).unwrap();
    let store = PackageStore::new(Options::new(dir.path().join("cache")), storage.clone()).unwrap();
    World { dir, storage, store }
}

fn package(deployment: Archive) -> Package {
    static VERSION: AtomicUsize = AtomicUsize::new(1);
    let version = VERSION.fetch_add(1, Ordering::Relaxed).to_string();
    let mut package = Package::new("hello", PackageSpec { deployment, ..Default::default() });
    package.metadata.namespace = Some("default".into());
    package.metadata.uid = Some("some-uid".into());
    package.metadata.resource_version = Some(version);
    package
}

fn literal(bytes: &[u8]) -> Archive {
    Archive { literal: Some(ByteString(bytes.to_vec())), ..Default::default() }
}

fn url(url: impl Into<String>) -> Archive {
    Archive { url: url.into(), ..Default::default() }
}

fn zip_bytes(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

async fn refusal(store: &PackageStore, package: &Package) -> String {
    match store.code(package, false).await {
        Err(CodeError::Unusable { package, why }) => format!("{package}: {why}"),
        other => panic!("must be unusable, got {other:?}"),
    }
}

#[tokio::test]
async fn a_literal_becomes_one_file_that_nobody_can_write() {
    let world = world();
    let code = world.store.code(&package(literal(b"module.exports")), false).await.unwrap();
    assert_eq!(std::fs::read(&code.path).unwrap(), b"module.exports");
    assert_eq!(code.digest, sha256(b"module.exports"));
    assert_eq!(mode(&code.path), 0o555);
    assert!(code.path.starts_with(world.dir.path().join("cache")));
}

#[tokio::test]
async fn a_zip_becomes_a_sealed_folder_unless_it_is_to_be_kept() {
    let world = world();
    let zip = zip_bytes(&[("index.js", "1"), ("lib/a.js", "2")]);
    let package = package(literal(&zip));
    let code = world.store.code(&package, false).await.unwrap();
    assert_eq!(std::fs::read(code.path.join("lib/a.js")).unwrap(), b"2");
    assert_eq!(
        (mode(&code.path), mode(&code.path.join("lib")), mode(&code.path.join("index.js"))),
        (0o555, 0o555, 0o444)
    );
    let kept = world.store.code(&package, true).await.unwrap();
    assert_eq!(std::fs::read(&kept.path).unwrap(), zip);
    assert_eq!(kept.digest, code.digest);
}

#[tokio::test]
async fn the_same_content_is_kept_once_whatever_package_it_comes_from() {
    let world = world();
    let first = world.store.code(&package(literal(b"same")), false).await.unwrap();
    let id = world.storage.put_bytes(Bytes::from_static(b"same")).await.unwrap();
    let second = world.store.code(&package(url(format!("http://storagesvc/v1/archive?id={id}"))), false).await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_package_version_asked_for_again_costs_next_to_nothing() {
    let world = world();
    let package = package(literal(&[b'x'; 1024]));
    world.store.code(&package, false).await.unwrap();
    let asked = ("some-uid".to_owned(), false);
    let version = package.metadata.resource_version.as_deref().unwrap();
    let remembered = world.store.shared.recall(&asked, version).unwrap();
    assert_eq!(world.store.code(&package, false).await.unwrap(), remembered);
    assert!(world.store.shared.recall(&asked, "another").is_none());
    std::fs::remove_file(&remembered.path).unwrap();
    let again = world.store.code(&package, false).await.unwrap();
    assert!(again.path.exists());
}

#[tokio::test]
async fn archives_of_this_server_are_read_in_process() {
    let world = world();
    let id = world.storage.put_bytes(Bytes::from(zip_bytes(&[("a.js", "a")]))).await.unwrap();
    world.store.add_own_host("127.0.0.1:31313");
    let escaped = id.replace('/', "%2F");
    for host in ["storagesvc", "storagesvc.fission", "storagesvc.fission.svc.cluster.local:8000", "127.0.0.1:31313"] {
        let code =
            world.store.code(&package(url(format!("http://{host}/v1/archive?id={escaped}"))), false).await.unwrap();
        assert_eq!(std::fs::read(code.path.join("a.js")).unwrap(), b"a");
    }
    let gone = url("http://storagesvc/v1/archive?id=fission-functions/none");
    assert!(refusal(&world.store, &package(gone)).await.contains("upload it again"));
    let nameless = url("http://storagesvc/v1/archive");
    assert!(refusal(&world.store, &package(nameless)).await.contains("names no archive"));
}

#[tokio::test]
async fn a_hundred_calls_for_one_url_make_one_download() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let answer = || async {
        CALLS.fetch_add(1, Ordering::SeqCst);
        "code"
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(answer))).await });
    let world = world();
    let package = package(url(format!("http://{host}/")));
    let calls = (0..100).map(|_| world.store.code(&package, false));
    let codes = futures_util::future::join_all(calls).await;
    assert!(codes.iter().all(|code| code.as_ref().unwrap().digest == sha256(b"code")));
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    assert!(world.store.shared.lock_under_way().is_empty());
}

#[tokio::test]
async fn a_checksum_is_believed_only_when_it_is_right() {
    let world = world();
    let id = world.storage.put_bytes(Bytes::from_static(b"content")).await.unwrap();
    let with = |kind: &str, sum: String| {
        let checksum = Checksum { kind: kind.into(), sum };
        package(Archive { checksum, ..url(format!("http://storagesvc/v1/archive?id={id}")) })
    };
    let right = with("sha256", sha256(b"content").to_uppercase());
    assert_eq!(world.store.code(&right, false).await.unwrap().digest, sha256(b"content"));
    let wrong = with("sha256", sha256(b"other"));
    assert!(refusal(&world.store, &wrong).await.contains("but its checksum says"));
    assert!(refusal(&world.store, &with("md5", "00".into())).await.contains("not sha256"));
    assert!(refusal(&world.store, &with("sha256", "../../x".into())).await.contains("in hex"));
    let found = std::fs::read_dir(world.dir.path().join("cache")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_dir(found.path()).unwrap().count(), 1, "what was refused must not stay");
}

#[tokio::test]
async fn packages_that_are_not_ready_say_why() {
    let world = world();
    let with = |status: BuildStatus, log: &str, deployment: Archive| {
        let mut package = package(deployment);
        package.spec.source = literal(b"source");
        package.status = Some(PackageStatus { build_status: status, build_log: log.into(), ..Default::default() });
        package
    };
    let all = [BuildStatus::Unset, BuildStatus::None, BuildStatus::Succeeded];
    let newer = [BuildStatus::Pending, BuildStatus::Running, BuildStatus::Failed];
    for status in all.into_iter().chain(newer) {
        let code = world.store.code(&with(status, "", literal(b"x")), false).await;
        assert!(code.is_ok(), "what was built before is used whatever becomes of newer source: {status:?}");
    }
    for (package, why) in [
        (with(BuildStatus::Failed, "npm ERR!", Archive::default()), "its build failed: npm ERR!"),
        (with(BuildStatus::Running, "", Archive::default()), "not built yet"),
        (with(BuildStatus::Pending, "", Archive::default()), "not built yet"),
        (with(BuildStatus::None, "", Archive::default()), "--deployarchive"),
        (with(BuildStatus::None, "", url("file:///etc/passwd")), "not an http or https URL"),
        (with(BuildStatus::None, "", url("nonsense")), "cannot be read"),
        (with(BuildStatus::None, "", literal(b"PK\x03\x04 broken")), "cannot be read"),
    ] {
        let message = refusal(&world.store, &package).await;
        assert!(message.starts_with("default/hello: ") && message.contains(why), "{message}");
    }
}

#[tokio::test]
async fn an_unsafe_archive_is_refused_and_leaves_nothing() {
    let world = world();
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    zip.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let package = package(literal(&zip.finish().unwrap().into_inner()));
    assert!(refusal(&world.store, &package).await.contains("symbolic link"));
    let found = std::fs::read_dir(world.dir.path().join("cache")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_dir(found.path()).unwrap().count(), 0);
}
