//! What is pruned and, more important, what is not.

use bytes::Bytes;
use fission_api::{Archive, PackageSpec};
use http::StatusCode;

use super::*;
use crate::fake_api::FakeApi;
use crate::storage;

struct World {
    _dir: tempfile::TempDir,
    api: FakeApi,
    storage: Storage,
    pruner: Pruner,
}

fn world(min_age: Duration) -> World {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path(), storage::Options::default()).unwrap();
    let api = FakeApi::synced();
    let options = Options { min_age, ..Default::default() };
    let pruner = Pruner::new(api.client(), storage.clone(), options);
    World { _dir: dir, api, storage, pruner }
}

fn package(name: &str, source: &str, deployment: &str) -> Package {
    let archive = |url: &str| Archive { url: url.into(), ..Default::default() };
    let mut package = Package::new(
        name,
        PackageSpec { source: archive(source), deployment: archive(deployment), ..Default::default() },
    );
    package.metadata.namespace = Some("default".into());
    package
}

async fn stored(world: &World) -> String {
    world.storage.put_bytes(Bytes::from_static(b"x")).await.unwrap()
}

#[tokio::test]
async fn only_archives_no_package_refers_to_are_pruned_and_only_at_second_sight() {
    let mut world = world(Duration::ZERO);
    let (source, deployment, unused) = (stored(&world).await, stored(&world).await, stored(&world).await);
    let url = |id: &str| format!("http://storagesvc.fission/v1/archive?id={}", id.replace('/', "%2F"));
    world.api.put_package(package("a", &url(&source), "https://example.com/code.zip"));
    world.api.put_package(package("b", "", &url(&deployment)));
    assert!(world.pruner.pass().await.unwrap().is_empty());
    let late = stored(&world).await;
    assert_eq!(world.pruner.pass().await.unwrap(), [unused]);
    world.api.put_package(package("c", "", &url(&late)));
    assert!(world.pruner.pass().await.unwrap().is_empty());
    let mut left: Vec<_> = world.storage.list().await.unwrap().into_iter().map(|stored| stored.id).collect();
    let mut wanted = vec![source, deployment, late];
    left.sort();
    wanted.sort();
    assert_eq!(left, wanted);
}

#[tokio::test]
async fn young_archives_are_left_alone() {
    let mut world = world(Duration::from_secs(60));
    stored(&world).await;
    for _ in 0..3 {
        assert!(world.pruner.pass().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn any_doubt_ends_the_pass() {
    let mut world = world(Duration::ZERO);
    stored(&world).await;
    world.pruner.pass().await.unwrap();
    world.api.fail_next(&[StatusCode::FORBIDDEN]);
    assert!(matches!(world.pruner.pass().await, Err(PruneError::Packages { .. })));
    world.api.put_package(package("odd", "", "not a url"));
    let error = world.pruner.pass().await.unwrap_err().to_string();
    assert!(error.contains("default/odd") && error.contains("not a url"), "{error}");
    assert_eq!(world.storage.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn archives_of_namespaces_nobody_looks_at_are_left_alone() {
    let mut world = world(Duration::ZERO);
    let put =
        |namespace| world.storage.put_of(Some(namespace), futures_util::stream::iter([Ok::<_, &str>(Bytes::new())]));
    let (mine, other) = (put("mine").await.unwrap(), put("other").await.unwrap());
    let (tell, told) = watch::channel(Namespaces::these(["mine"]));
    world.pruner = world.pruner.within(told);
    world.pruner.pass().await.unwrap();
    tell.send(Namespaces::these(["late"])).unwrap();
    assert_eq!(world.pruner.pass().await.unwrap(), [mine], "a namespace that was looked at once still is");
    assert!(world.storage.stored(&other).await.is_ok());
}
