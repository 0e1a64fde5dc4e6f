//! From an image in a registry to code on disk.

use std::os::unix::fs::PermissionsExt;

use fission_api::{Archive, OciArchive, Package, PackageSpec, PullSecret};
use fission_rpc::code::{Code, CodeError, CodeSource};
use fission_testkit::registry::{Item, Registry, layer, sha256};
use http::StatusCode;
use serde_json::json;

use super::super::{Options, PackageStore};
use super::*;
use crate::storage::{self, Storage};

struct World {
    dir: tempfile::TempDir,
    registry: Registry,
    store: PackageStore,
}

async fn world() -> World {
    world_with(|_| {}).await
}

async fn world_with(change: impl FnOnce(&mut Options)) -> World {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().join("archives"), storage::Options::default()).unwrap();
    let mut options = Options::new(dir.path().join("cache"));
    change(&mut options);
    let store = PackageStore::new(options, storage).unwrap();
    World { dir, registry: Registry::start().await.unwrap(), store }
}

impl World {
    fn archive(&self, image: &str) -> OciArchive {
        OciArchive { image: format!("{}/{image}", self.registry.host()), ..Default::default() }
    }

    async fn code(&self, archive: OciArchive) -> Result<Code, String> {
        let deployment = Archive { oci: Some(archive), ..Default::default() };
        let mut package = Package::new("hello", PackageSpec { deployment, ..Default::default() });
        package.metadata.namespace = Some("default".into());
        package.metadata.uid = Some(uuid::Uuid::new_v4().to_string());
        package.metadata.resource_version = Some("1".into());
        self.store.code(&package, false).await.map_err(|error| match error {
            CodeError::Unusable { why, .. } => why,
            CodeError::Unreachable { why, .. } => format!("unreachable: {why}"),
        })
    }

    /// What is in the cache and is not on its way out.
    fn cached(&self) -> usize {
        let boot = std::fs::read_dir(self.dir.path().join("cache")).unwrap().next().unwrap().unwrap();
        std::fs::read_dir(boot.path()).unwrap().count()
    }

    /// Why an image of one such layer is refused.
    async fn refusal(&self, items: &[Item<'_>]) -> String {
        self.registry.push("bad", "1", &[layer(items)]);
        let why = self.code(self.archive("bad:1")).await.unwrap_err();
        assert_eq!(self.cached(), 0, "nothing is left of it");
        why
    }
}

/// Every file of a folder with its content, by path.
fn files(code: &Code) -> Vec<(String, String)> {
    fn walk(top: &Path, at: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(top, &path, found);
            } else {
                let name = path.strip_prefix(top).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&code.path, &code.path, &mut found);
    found.sort();
    found
}

fn expected(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn an_image_becomes_a_folder_that_nobody_can_write() {
    let world = world().await;
    let items = [Item::Folder("./lib/"), Item::File("./main.py", 0o4600, "1"), Item::File("lib/run", 0o777, "2")];
    world.registry.push("team/code", "1", &[gzip(&layer(&items))]);
    let code = world.code(world.archive("team/code:1")).await.unwrap();
    assert_eq!(files(&code), expected(&[("lib/run", "2"), ("main.py", "1")]));
    assert_eq!(mode(&code.path.join("main.py")), 0o444, "readable by all, and no special bits");
    assert_eq!(mode(&code.path.join("lib/run")), 0o555);
    assert_eq!(mode(&code.path.join("lib")), 0o555);
}

#[tokio::test]
async fn upper_layers_replace_hide_and_reopen_what_is_below() {
    let world = world().await;
    let lowest = layer(&[
        Item::File("kept", 0o644, "low"),
        Item::File("replaced", 0o644, "low"),
        Item::File("gone", 0o644, "low"),
        Item::File("folder/old", 0o644, "low"),
        Item::File("reopened/old", 0o644, "low"),
        Item::File("becomes-folder", 0o644, "low"),
        Item::File("twice/old", 0o644, "low"),
        Item::File("becomes-file/inside", 0o644, "low"),
        // What is covered may be what it likes.
        Item::Symlink("link", "/etc/passwd"),
    ]);
    let middle = layer(&[
        Item::File("replaced", 0o644, "middle"),
        Item::File("folder/.wh..wh..opq", 0o644, ""),
        Item::File("folder/new", 0o644, "middle"),
        Item::File(".wh.reopened", 0o644, ""),
        Item::File("becomes-file", 0o644, "middle"),
        Item::File("twice", 0o644, "middle"),
        Item::File("becomes-folder/inside", 0o644, "middle"),
        Item::File(".wh.link", 0o644, ""),
    ]);
    let upper = layer(&[
        Item::File(".wh.gone", 0o644, ""),
        Item::File("reopened/new", 0o644, "up"),
        Item::File("twice/new", 0o644, "up"),
        Item::Device("dev/null"),
    ]);
    world.registry.push("code", "1", &[lowest, middle, upper]);
    let code = world.code(world.archive("code:1")).await.unwrap();
    let wanted = [
        ("becomes-file", "middle"),
        ("becomes-folder/inside", "middle"),
        ("folder/new", "middle"),
        ("kept", "low"),
        ("reopened/new", "up"),
        ("replaced", "middle"),
        ("twice/new", "up"),
    ];
    assert_eq!(files(&code), expected(&wanted));
}

#[tokio::test]
async fn a_sub_path_is_the_root_and_what_is_beside_it_does_not_matter() {
    let world = world().await;
    let items = [
        Item::Symlink("bin", "usr/bin"),
        Item::File("srv/app/main.py", 0o644, "1"),
        Item::File("srv/application", 0o644, "2"),
        Item::File("etc/x\\y", 0o644, "3"),
    ];
    world.registry.push("code", "1", &[layer(&items)]);
    let at = |sub_path: &str| OciArchive { sub_path: sub_path.into(), ..world.archive("code:1") };
    assert_eq!(files(&world.code(at("srv/app")).await.unwrap()), expected(&[("main.py", "1")]));
    let other = world.code(at("srv/")).await.unwrap();
    assert_eq!(files(&other), expected(&[("app/main.py", "1"), ("application", "2")]), "another folder, other code");
    assert!(world.code(at("nowhere")).await.unwrap_err().contains("nothing at its subPath nowhere"));
    assert!(world.code(at("srv/application")).await.unwrap_err().contains("no folder"));
    assert!(world.code(at("bin")).await.unwrap_err().contains("no folder"));
    assert!(world.code(at("../x")).await.unwrap_err().contains("subPath"));
}

#[tokio::test]
async fn links_and_escaping_paths_are_refused() {
    let world = world().await;
    for (items, why) in [
        ([Item::Symlink("link", "main.py")], "\"link\": it is a symbolic link"),
        ([Item::HardLink("link", "main.py")], "\"link\": it is a hard link"),
        ([Item::File("../out", 0o644, "x")], "leaves the image with .."),
        ([Item::File("a/../../out", 0o644, "x")], "leaves the image with .."),
        ([Item::File("/etc/cron.d/x", 0o644, "x")], "its name is absolute"),
        ([Item::Device("null")], "holds no files"),
    ] {
        let refusal = world.refusal(&items).await;
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[tokio::test]
async fn an_image_that_is_not_the_pinned_one_is_refused_before_anything_is_written() {
    let world = world().await;
    let digest = world.registry.push("code", "1", &[layer(&[Item::File("main.py", 0o644, "1")])]);
    let pinned = OciArchive { digest: digest.clone(), ..world.archive("code:1") };
    let other = sha256(b"something else");
    world.registry.claim("code", &other, b"{\"schemaVersion\":2,\"layers\":[]}".to_vec());
    let refusal = world.code(OciArchive { digest: other, ..world.archive("code:1") }).await.unwrap_err();
    assert!(refusal.contains("not the digest that was asked for"), "{refusal}");
    assert_eq!(world.cached(), 0);
    world.code(pinned).await.unwrap();
}

#[tokio::test]
async fn a_layer_with_another_digest_is_refused() {
    let world = world().await;
    let (good, bad) = (layer(&[Item::File("main.py", 0o644, "1")]), layer(&[Item::File("main.py", 0o644, "2")]));
    world.registry.push("code", "1", std::slice::from_ref(&good));
    world.registry.claim_layer(&sha256(&good), bad);
    let refusal = world.code(world.archive("code:1")).await.unwrap_err();
    assert!(refusal.contains("a layer of it"), "{refusal}");
    world.registry.claim_layer(&sha256(&good), [good, vec![0; 512]].concat());
    let refusal = world.code(world.archive("code:1")).await.unwrap_err();
    assert!(refusal.contains("larger than its manifest says"), "{refusal}");
    assert_eq!(world.cached(), 0);
}

#[tokio::test]
async fn an_image_is_pulled_once_for_all_packages_that_pin_it() {
    let world = world().await;
    let digest = world.registry.push("code", "1", &[layer(&[Item::File("main.py", 0o644, "1")])]);
    let pinned = || OciArchive { digest: digest.clone(), ..world.archive("code") };
    let (first, second) = tokio::join!(world.code(pinned()), world.code(pinned()));
    assert_eq!(first.unwrap(), second.unwrap());
    let served = world.registry.served();
    let third = world.code(pinned()).await.unwrap();
    assert_eq!(world.registry.served(), served, "the registry is not asked again");
    let by_tag = world.code(world.archive("code:1")).await.unwrap();
    assert_eq!((by_tag, world.registry.served()), (third, served + 1), "a tag is looked up, its layers are there");
}

#[tokio::test]
async fn an_image_over_a_limit_is_refused_with_the_limit() {
    for (change, why) in [
        ((|options| options.images.layers = 1) as fn(&mut Options), "layers = 1"),
        (|options| options.images.packed_bytes = 100, "packed_bytes = 100"),
        (|options| options.images.read_bytes = 600, "read_bytes = 600"),
        (|options| options.unpack.total_bytes = 3, "total_bytes = 3"),
        (|options| options.unpack.entries = 1, "entries = 1"),
        (|options| options.unpack.depth = 1, "depth = 1"),
    ] {
        let world = world_with(change).await;
        let one = |name| layer(&[Item::File(name, 0o644, "12")]);
        world.registry.push("code", "1", &[one("a/b"), one("c")]);
        let refusal = world.code(world.archive("code:1")).await.unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    }
}

/// A client of an API with these secrets in the namespace `default`.
fn secrets(secrets: serde_json::Value) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let name = request.uri().path().strip_prefix("/api/v1/namespaces/default/secrets/").unwrap_or_default();
        let found = secrets.get(name).cloned();
        let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let missing =
            json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "message": "", "code": 404 });
        let body = http_body_util::Full::from(found.unwrap_or(missing).to_string());
        let response = http::Response::builder().status(status).body(body).unwrap();
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    kube::Client::new(service, "default")
}

#[tokio::test]
async fn a_registry_is_shown_the_pull_secret_of_the_package_and_of_no_other() {
    use base64::Engine;
    let world = world().await;
    world.registry.push("code", "1", &[layer(&[Item::File("main.py", 0o644, "1")])]);
    world.registry.require("me", "secret");
    let config = json!({ "auths": { world.registry.host(): { "username": "me", "password": "secret" } } }).to_string();
    let encoded = base64::engine::general_purpose::STANDARD.encode(config);
    let with = |name: &str| OciArchive {
        image_pull_secrets: vec![PullSecret { name: name.into() }],
        ..world.archive("code:1")
    };
    assert!(world.code(with("regcred")).await.unwrap_err().contains("reads no secrets"));
    world.store.read_pull_secrets_with(secrets(json!({
        "regcred": { "metadata": { "name": "regcred" }, "data": { ".dockerconfigjson": encoded } },
        "other": { "metadata": { "name": "other" }, "data": { ".dockerconfigjson": "e30=" } },
        "odd": { "metadata": { "name": "odd" } },
    })));
    let code = world.code(with("regcred")).await.unwrap();
    assert_eq!(files(&code), expected(&[("main.py", "1")]));
    for (archive, why) in [
        (world.archive("code:1"), "without credentials; name a secret"),
        (with("other"), "none of its secrets other has any for it"),
        (with("missing"), "missing is not in namespace default"),
        (with("odd"), "odd has no .dockerconfigjson"),
    ] {
        let refusal = world.code(archive).await.unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_says_so() {
    let world = world().await;
    let refusal = world.code(world.archive("code:1")).await.unwrap_err();
    assert!(refusal.ends_with(&format!("is not in the registry {}", world.registry.host())), "{refusal}");
    let nobody = OciArchive { image: "127.0.0.1:1/code:1".into(), ..Default::default() };
    assert!(world.code(nobody).await.unwrap_err().starts_with("unreachable: its image 127.0.0.1:1/code:1"));
    let no_name = OciArchive { image: "Not A Name".into(), ..Default::default() };
    assert!(world.code(no_name).await.unwrap_err().contains("registry/name:tag"));
}

#[tokio::test]
async fn the_metadata_service_is_no_registry() {
    let world = world().await;
    let archive = OciArchive { image: "169.254.169.254/latest/meta-data".into(), ..Default::default() };
    assert!(world.code(archive).await.unwrap_err().contains("is refused"));
}

#[test]
fn only_loopback_and_listed_registries_are_asked_over_plain_http() {
    let options = ImageOptions {
        insecure_registries: vec!["registry.local".into(), "10.0.0.1:5000".into()],
        ..Default::default()
    };
    for plain in ["localhost", "localhost:5000", "127.0.0.9:1", "[::1]:5000", "registry.local:80", "10.0.0.1:5000"] {
        assert!(options.is_plain(plain), "{plain}");
    }
    for secure in ["ghcr.io", "10.0.0.1", "10.0.0.1:5001", "localhost.evil.example", "registry.local.example:80"] {
        assert!(!options.is_plain(secure), "{secure}");
    }
}
