//! From a package to a folder a builder can write to, and back into the storage.

use std::io::Write;

use axum::body::Body;
use axum::http::Request;
use fission_api::{Checksum, PackageSpec, PackageStatus};
use http_body_util::BodyExt;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tower::ServiceExt;
use zip::write::SimpleFileOptions;

use super::*;
use crate::fake_api::FakeApi;
use crate::storage::{self, Storage};

struct World {
    dir: tempfile::TempDir,
    api: FakeApi,
    storage: Storage,
    service: FetchService,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().join("archives"), storage::Options::default()).unwrap();
    std::fs::create_dir(dir.path().join("packages")).unwrap();
    let api = FakeApi::synced();
    let service = FetchService::new(api.client(), storage.clone(), &dir.path().join("packages")).unwrap();
    World { dir, api, storage, service }
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("packages").join(name)
    }

    fn package(&self, source: Archive, deployment: Archive, build: BuildStatus) {
        let spec = PackageSpec { source, deployment, ..Default::default() };
        let mut package = Package::new("p", spec);
        package.metadata.namespace = Some("default".into());
        package.status = Some(PackageStatus { build_status: build, ..Default::default() });
        self.api.put_package(package);
    }

    async fn call(&self, path: &str, body: Value) -> (u16, String) {
        let request = Request::post(path).body(Body::from(body.to_string())).unwrap();
        let response = self.service.http().oneshot(request).await.unwrap();
        let (status, body) = (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes());
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn fetch(&self, kind: u8, name: &str) -> (u16, String) {
        let package = json!({ "name": "p", "namespace": "default", "resourceVersion": "0" });
        self.call("/fetch", json!({ "fetchType": kind, "package": package, "filename": name, "secretList": null }))
            .await
    }
}

fn literal(bytes: &[u8]) -> Archive {
    Archive { literal: Some(ByteString(bytes.to_vec())), ..Default::default() }
}

fn zip_bytes() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    zip.start_file("lib/build.sh", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    zip.write_all(b"#!/bin/sh").unwrap();
    zip.finish().unwrap().into_inner()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_source_becomes_a_folder_every_user_of_the_pod_can_write_to() {
    let world = world();
    world.package(literal(&zip_bytes()), Archive::default(), BuildStatus::Running);
    assert_eq!(world.fetch(fetch::SOURCE, "p-abc").await, (200, String::new()));
    assert_eq!(std::fs::read(world.path("p-abc/lib/build.sh")).unwrap(), b"#!/bin/sh");
    let modes = ["p-abc", "p-abc/lib", "p-abc/lib/build.sh"].map(|name| mode(&world.path(name)));
    assert_eq!(modes, [0o777, 0o777, 0o777]);
    assert_eq!(std::fs::read_dir(world.path("")).unwrap().count(), 1, "nothing else is left");
}

#[tokio::test]
async fn what_is_there_is_taken_for_what_was_asked_for() {
    let world = world();
    std::fs::write(world.path("there"), "old").unwrap();
    assert_eq!(world.fetch(fetch::SOURCE, "there").await.0, 200);
    assert_eq!(std::fs::read(world.path("there")).unwrap(), b"old");
}

#[tokio::test]
async fn what_is_deployed_must_be_built_and_a_url_must_have_its_checksum() {
    let world = world();
    let id = world.storage.put_bytes(zip_bytes().into()).await.unwrap();
    let stored = Archive { url: storage::url_of(&id), ..Default::default() };
    world.package(literal(b"x"), stored.clone(), BuildStatus::Running);
    assert_eq!(world.fetch(fetch::DEPLOYMENT, "a").await.0, 500);
    world.package(literal(b"x"), stored.clone(), BuildStatus::Succeeded);
    assert_eq!(world.fetch(fetch::DEPLOYMENT, "a").await.0, 200);
    assert!(world.path("a/lib/build.sh").exists());
    let checksum = Checksum { kind: "sha256".into(), sum: "00".repeat(32) };
    world.package(Archive { checksum, ..stored.clone() }, Archive::default(), BuildStatus::Running);
    let (status, why) = world.fetch(fetch::SOURCE, "b").await;
    assert!(status == 400 && why.contains("but its checksum says"), "{status} {why}");
    let by_url = json!({ "fetchType": 2, "url": stored.url, "filename": "c", "keeparchive": true });
    assert_eq!(world.call("/fetch", by_url).await.0, 200);
    assert_eq!(std::fs::read(world.path("c")).unwrap(), zip_bytes());
    assert_eq!(std::fs::read_dir(world.path("")).unwrap().count(), 2, "what was refused must not stay");
}

#[tokio::test]
async fn requests_that_are_none_or_lead_elsewhere_are_refused() {
    let world = world();
    for (path, body, status) in [
        ("/fetch", json!({ "fetchType": 2, "url": "http://storagesvc/v1/archive?id=x", "filename": "../x" }), 400),
        ("/fetch", json!({ "fetchType": 2, "url": "file:///etc/passwd", "filename": "x" }), 400),
        ("/fetch", json!({ "fetchType": 2, "url": "http://storagesvc/v1/archive?id=x", "filename": "x" }), 400),
        ("/fetch", json!({ "fetchType": 0, "filename": "x" }), 400),
        ("/fetch", json!({ "fetchType": 0, "filename": "x", "package": { "name": "p", "namespace": "default" } }), 404),
        ("/fetch", json!({ "fetchType": 7, "filename": [] }), 400),
        ("/upload", json!({ "filename": "..", "archivepackage": true }), 400),
        ("/upload", json!({ "filename": "gone", "archivepackage": true }), 500),
    ] {
        let (got, why) = world.call(path, body.clone()).await;
        assert_eq!(got, status, "{body}: {why}");
    }
}

#[tokio::test]
async fn what_was_made_is_stored_and_a_link_out_of_it_is_not() {
    let world = world();
    let folder = world.path("p-abc-123456");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("index.js"), "1").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("secret")).unwrap();
    let body = json!({ "filename": "p-abc-123456", "archivepackage": true });
    let (status, answer) = world.call("/upload", body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let uploaded: UploadResponse = serde_json::from_str(&answer).unwrap();
    assert!(uploaded.notes[0].contains("secret"), "{answer}");
    let id = crate::source::archive_id(&uploaded.archive_download_url).unwrap().unwrap();
    let stored = std::fs::File::open(world.storage.path(&id).await.unwrap()).unwrap();
    assert!(archive::starts_as_zip(&stored).unwrap());
    let kept = world.call("/upload", json!({ "filename": "p-abc-123456", "archivepackage": false })).await;
    assert!(kept.0 == 400 && kept.1.contains("keeparchive"), "{kept:?}");
    std::os::unix::fs::symlink("/etc", world.path("link")).unwrap();
    let linked = world.call("/upload", json!({ "filename": "link", "archivepackage": true })).await;
    assert_eq!(linked.0, 500, "{linked:?}");
}
