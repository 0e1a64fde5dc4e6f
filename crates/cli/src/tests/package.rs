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
    let info = world.ok("pkg info --name image").await;
    assert!(info.contains(&format!("image example.org/code:1@{digest}")), "{info}");
    let refused = world.fails("pkg getdeploy --name image").await;
    assert!(refused.contains("is in the image example.org/code:1"), "{refused}");
}

#[tokio::test]
async fn a_package_without_a_name_is_called_after_its_file() {
    let world = World::with_function().await;
    let ran = world.run("pkg create --env nodejs --code hello.js").await;
    assert!(ran.out.starts_with("Warning: --name is not given; the package is called 'hello-js-"), "{}", ran.out);
}

/// Writes where a build stands, as a builder does.
async fn stands(world: &World, package: &str, status: &str, log: &str) {
    let api = kube::Api::<fission_api::Package>::default_namespaced(world.client());
    let patch = serde_json::json!({ "status": { "buildstatus": status, "buildlog": log } });
    api.patch_status(package, &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
}

#[tokio::test]
async fn following_a_build_prints_its_log_once_and_ends_with_its_verdict() {
    let world = World::with_function().await;
    world.file("src/index.js", "1");
    world.ok("pkg create --name built --env nodejs --src src").await;
    let building = async {
        let mut log = "building\n".to_owned();
        for line in ["one\n", "two\n", "thr", "ee\n"] {
            log += line;
            stands(&world, "built", "running", &log).await;
            tokio::task::yield_now().await;
        }
        stands(&world, "built", "succeeded", &(log + "built\n")).await;
    };
    let (printed, ()) = tokio::join!(world.ok("pkg info --name built --follow"), building);
    let (_, log) = printed.split_once("Build Logs:\n").unwrap();
    assert_snapshot!(log, @r"
    building
    one
    two
    three
    built
    Status: succeeded
    ");

    stands(&world, "built", "running", "once more\n").await;
    let breaking = stands(&world, "built", "failed", "once more\nindex.js:1: broken");
    let (ran, ()) = tokio::join!(world.run("pkg info --name built -f"), breaking);
    assert!(!ran.good && ran.out.ends_with("once more\nindex.js:1: broken\nStatus: failed\n"), "{}", ran.out);
    assert_snapshot!(ran.err, @r"
    Error: the build of package 'built' failed
    hint: mend the source, then: fission package update --name built --sourcearchive FILES
    hint: or, when the cause was elsewhere: fission package rebuild --name built
    ");
    let ran = world.run("pkg info --name built --follow -o name").await;
    assert!(!ran.good && ran.out == "package/built\n", "{ran:?}");
    assert_snapshot!(world.ok("pkg rebuild --name built").await, @r#"Retrying build for pkg built. Use "fission pkg info --name built" to view status."#);
}

#[tokio::test]
async fn following_ends_at_once_where_nothing_is_built_and_when_the_package_is_deleted() {
    let world = World::with_function().await;
    world.ok("pkg create --name plain --env nodejs --code hello.js").await;
    assert!(world.ok("pkg info --name plain --follow").await.contains("Deployment:"));
    world.file("src/index.js", "1");
    world.ok("pkg create --name built --env nodejs --src src").await;
    let (said, _) = tokio::join!(world.fails("pkg info --name built -f"), world.run("pkg delete --name built"));
    assert!(said.contains("it was deleted") || said.contains("not found"), "{said}");
}

#[tokio::test]
async fn a_build_command_for_a_shell_is_refused_before_anything_is_stored() {
    let world = World::with_function().await;
    world.file("src/index.js", "1");
    let refused = world.fails("fn create --name b --env nodejs --src src --buildcmd 'npm ci && npm test'").await;
    assert!(refused.contains("spec.buildcmd: Invalid value") && refused.contains("--buildcmd ./build.sh"), "{refused}");
    assert_eq!(world.ok("pkg list -o name").await.lines().count(), 1, "only that of the world's function");
    let refused = world.fails("fn update --name hello --src src --buildcmd 'a|b'").await;
    assert!(refused.contains("spec.buildcmd"), "{refused}");
}
