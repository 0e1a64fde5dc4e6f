//! `fission package ...`.

use insta::assert_snapshot;
use serde_json::Value;

use super::world::{World, without_uuids};

#[tokio::test]
async fn a_package_is_created_shown_and_deleted() {
    let world = World::with_function().await;
    assert_snapshot!(world.ok("pkg create --name plain --env nodejs --code hello.js").await, @"Package 'plain' created");
    let info = world.ok("pkg info --name plain").await;
    let info: Vec<&str> = info.lines().filter(|line| !line.starts_with("Last update:")).collect();
    assert_snapshot!(info.join("\n"), @r"
    Name:        plain
    Environment: nodejs
    Deployment:  literal, 71 bytes
    ");
    assert_eq!(world.ok("pkg getdeploy --name plain").await, world.ok("pkg getsrc --name plain").await);
    let used = world.ok("pkg list -o name").await.lines().find(|name| name.contains("hello-")).unwrap().to_owned();
    let used = used.trim_start_matches("package/");
    assert_snapshot!(without_uuids(&world.fails(&format!("pkg delete --name {used}")).await), @r"
    Error: package 'hello-UUID' is used by: hello
    hint: delete these functions first, or use --force
    ");
    assert_snapshot!(world.ok("pkg delete --name plain").await, @"Package 'plain' deleted");
    assert_snapshot!(world.fails("pkg delete").await, @r#"
    Error: required flag(s) "name" not set
    hint: fission package delete --name <NAME>
    "#);
    assert_snapshot!(world.fails(&format!("pkg rebuild --name {used}")).await.replace(used, "NAME"), @r"
    Error: package 'NAME' has status ''; only a failed one is built again
    hint: to build new source: fission package update --name NAME --sourcearchive FILES
    ");
}

#[tokio::test]
async fn a_folder_becomes_a_zip_and_a_zip_stays_as_it_is() {
    let world = World::with_function().await;
    world.file("src/index.js", "1");
    world.file("src/lib/a.js", "2");
    world.ok("pkg create --name folder --env nodejs --deploy src").await;
    world.ok("pkg getdeploy --name folder -o folder.zip").await;
    world.ok("pkg create --name zip --env nodejs --deploy folder.zip").await;
    world.ok("pkg getdeploy --name zip -o again.zip").await;
    let read = |name: &str| std::fs::read(world.path().join(name)).unwrap();
    assert_eq!(read("folder.zip"), read("again.zip"));
    assert!(read("folder.zip").starts_with(b"PK\x03\x04"));
}

#[tokio::test]
async fn code_of_the_limit_or_more_needs_the_storage_service() {
    let world = World::with_function().await;
    world.file("small.js", vec![b'x'; 256 * 1024 - 1]);
    world.file("large.js", vec![b'x'; 256 * 1024]);
    world.ok("pkg create --name small --env nodejs --code small.js").await;
    let refused = world.fails("pkg create --name large --env nodejs --code large.js").await;
    assert!(refused.contains("cannot upload DIR/large.js"), "{refused}");
    assert_eq!(world.fails("pkg info --name large").await.lines().count(), 2, "no package is left behind");
}

#[tokio::test]
async fn an_image_is_split_into_its_name_and_digest() {
    let world = World::with_function().await;
    let digest = format!("sha256:{}", "a".repeat(64));
    let line = format!("pkg create --name image --env nodejs --oci example.org/code:1@{digest} -o json");
    let package: Value = serde_json::from_str(&world.ok(&line).await).unwrap();
    let oci = &package["spec"]["deployment"]["oci"];
    assert_eq!((oci["image"].as_str(), oci["digest"].as_str()), (Some("example.org/code:1"), Some(digest.as_str())));
}

#[tokio::test]
async fn a_package_without_a_name_is_called_after_its_file() {
    let world = World::with_function().await;
    let ran = world.run("pkg create --env nodejs --code hello.js").await;
    assert!(ran.out.starts_with("Warning: --name is not given; the package is called 'hello-js-"), "{}", ran.out);
}
