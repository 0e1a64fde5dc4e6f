//! Code in OCI images: a registry in this process, a platform that pulls from it.

use fission_testkit::registry::{Item, Registry, layer};

use crate::world::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn a_function_whose_code_is_in_an_image_answers() {
    let registry = Registry::start().await.unwrap();
    let platform = Platform::start();
    platform.ok(&["env", "create", "--name", "python", "--image", "fission/python-env", "--poolsize", "1"]);
    let code = |text: &str| {
        let main = "from .words import WORDS\n\n\ndef main():\n    return WORDS\n";
        let words = format!("WORDS = '{text}'\n");
        let files = [Item::File("app/main.py", 0o644, main), Item::File("app/words.py", 0o644, &words)];
        layer(&[&files[..], &[Item::File("app/__init__.py", 0o644, "")]].concat())
    };
    let digest = registry.push("team/code", "1", &[code("from an image")]);
    let image = format!("{}/team/code:1", registry.host());
    let create = |name: &str, image: &str| {
        let create = ["function", "create", "--name", name, "--env", "python", "--entrypoint", "app.main.main"];
        platform.ok(&[&create[..], &["--oci", image]].concat());
    };
    create("tagged", &image);
    create("pinned", &format!("{image}@{digest}"));
    platform.route("tagged");
    platform.route("pinned");
    assert_eq!(platform.get("/tagged").await, (200, "from an image".to_owned()));
    assert_eq!(platform.get("/pinned").await, (200, "from an image".to_owned()));

    // What is pinned is what was meant, whatever the tag says now.
    let other = registry.push("team/code", "1", &[code("from another")]);
    let package = platform.ok(&["package", "list"]);
    let package = package.lines().find(|line| line.starts_with("pinned-")).unwrap().split_whitespace().next().unwrap();
    assert!(platform.ok(&["package", "info", "--name", package]).contains(&format!("image {image}@{digest}")));
    platform.ok(&["package", "update", "--name", package, "--oci", &format!("{image}@{other}")]);
    crate::world::eventually("the new image answers", async || {
        platform.get("/pinned").await == (200, "from another".to_owned())
    })
    .await;

    // No such image: who calls the function is told.
    let missing = format!("{}/team/missing:1", registry.host());
    create("missing", &missing);
    platform.route("missing");
    let (status, text) = platform.get("/missing").await;
    assert!(status >= 500 && text.contains(&missing) && text.contains("not in the registry"), "{status} {text}");
}
