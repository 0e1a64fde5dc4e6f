//! `fission function ...`.

use insta::assert_snapshot;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::world::{World, without_uuids};

async fn stored(world: &World, name: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("fn get --name {name} -o json")).await).unwrap()
}

#[tokio::test]
async fn the_articles_commands_work_as_written() {
    let world = World::new();
    world.file("hello.js", "module.exports = async () => ({ status: 200, body: 'Hello, world!' });\n");
    assert_snapshot!(world.ok("env create --name nodejs --image fission/node-env").await, @r"
    poolsize setting default to 3
    environment 'nodejs' created
    ");
    let created = world.ok("function create --name hello --env nodejs --code hello.js").await;
    assert_snapshot!(without_uuids(&created), @r"
    Package 'hello-UUID' created
    function 'hello' created
    ");
    let route = world.ok("route create --method GET --url /hello --function hello").await;
    assert_snapshot!(without_uuids(&route), @r"
    Warning: --name is not given; the route is called 'UUID'
    trigger 'UUID' created
    ");
}

#[tokio::test]
async fn a_function_names_its_package_and_the_version_it_was_made_with() {
    let world = World::with_function().await;
    let function = stored(&world, "hello").await;
    let reference = &function["spec"]["package"]["packageref"];
    assert!(reference["name"].as_str().unwrap().starts_with("hello-"), "{reference}");
    assert_ne!(reference["resourceversion"].as_str().unwrap_or_default(), "");
    assert_eq!(world.ok("fn get --name hello").await, std::fs::read_to_string(world.path().join("hello.js")).unwrap());
    assert_snapshot!(world.ok("fn list").await, @r"
    NAME  ENV    EXECUTORTYPE MINSCALE MAXSCALE MINCPU MAXCPU MINMEMORY MAXMEMORY SECRETS CONFIGMAPS READY  NAMESPACE
    hello nodejs poolmgr      0        0        0      0      0         0                            <none> default
    ");
    assert_snapshot!(world.ok("fn getmeta --name hello").await, @r"
    Name:        hello
    Environment: nodejs
    Labels:      <none>
    Annotations: <none>
    ");
    assert_snapshot!(world.ok("fn pods --name hello").await, @"NAME NAMESPACE READY STATUS IP EXECUTORTYPE MANAGED SERVED VERSION");
}

#[tokio::test]
async fn nothing_is_left_behind_when_a_function_cannot_be_created() {
    let world = World::new();
    world.file("f.js", "x");
    assert_snapshot!(world.fails("fn create --name f --env nobody --code f.js").await, @r"
    Error: environment 'nobody' not found in namespace 'default'; there are none
    hint: create it with: fission environment create --name nobody --image fission/node-env
    ");
    world.ok("env create --name nodejs --image i").await;
    assert_snapshot!(world.fails("fn create --name f --env nodejs --code missing.js").await, @"Error: cannot read DIR/missing.js: No such file or directory (os error 2)");
    assert_snapshot!(world.fails("fn create --name f --env nodejs --code f.js --fntimeout 0").await, @"Error: --fntimeout 0 must be above 0");
    let long = world.fails(&format!("fn create --name {} --env nodejs --code f.js", "a".repeat(64))).await;
    assert!(long.contains("63"), "{long}");
    assert_eq!(world.ok("pkg list -o name").await, "");
    world.ok("fn create --name f --env nodejs --code f.js").await;
    assert_snapshot!(world.fails("fn create --name f --env nodejs --code f.js").await, @r"
    Error: a function with the same name already exists
    hint: change it with: fission function update --name f --code FILE
    ");
    assert_eq!(world.ok("pkg list -o name").await.lines().count(), 1);
}

#[tokio::test]
async fn code_and_environment_are_asked_for_by_name() {
    let world = World::new();
    assert_snapshot!(world.fails("fn create --name f --env nodejs").await, @r"
    Error: no code is given: need --code, --sourcearchive, --deployarchive or --oci, or an existing --pkgname
    hint: a single file: --code hello.js; a folder: --deployarchive src/
    ");
    assert_snapshot!(world.fails("fn create --name f --code f.js").await, @r"
    Error: need --env argument
    hint: see the environments with: fission environment list
    ");
    assert_snapshot!(world.fails("fn create --code f.js").await, @r#"
    Error: required flag(s) "name" not set
    hint: fission function create --name <NAME> --code <FILE>
    "#);
    assert_snapshot!(world.fails("fn create --nmae f").await, @r"
    Error: unexpected argument '--nmae' found

      tip: a similar argument exists: '--name'

    Usage: fission function create --name <NAME>

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn an_update_changes_only_what_is_given() {
    let world = World::with_function().await;
    assert_snapshot!(world.ok("fn update --name hello --requestsperpod 4 --concurrency 9").await, @"Function 'hello' updated");
    let before = stored(&world, "hello").await;
    assert_eq!((before["spec"]["requestsPerPod"].as_i64(), before["spec"]["concurrency"].as_i64()), (Some(4), Some(9)));
    world.file("other.js", "module.exports = async () => ({ status: 200 });");
    let updated = world.ok("fn update --name hello --code other.js").await;
    assert_snapshot!(without_uuids(&updated), @r"
    Package 'hello-UUID' updated
    Function 'hello' updated
    ");
    let after = stored(&world, "hello").await;
    assert_eq!(after["spec"]["requestsPerPod"], 4);
    let stamp = |function: &Value| function["spec"]["package"]["packageref"]["resourceversion"].clone();
    assert_ne!(stamp(&before), stamp(&after), "a changed package redeploys its function");
    assert_eq!(world.ok("fn get --name hello").await, "module.exports = async () => ({ status: 200 });");
}

#[tokio::test]
async fn a_shared_package_is_changed_only_by_force_and_then_for_all() {
    let world = World::with_function().await;
    world.ok("pkg create --name shared --env nodejs --code hello.js").await;
    world.ok("fn create --name one --pkg shared").await;
    world.ok("fn create --name two --pkg shared --env nodejs").await;
    assert_snapshot!(world.fails("fn update --name one --code hello.js").await, @r"
    Error: package 'shared' is used by several functions: one, two
    hint: use --force to change the code of all of them
    ");
    let before = stored(&world, "two").await;
    world.file("new.js", "new");
    world.ok("fn update --name one --code new.js --force").await;
    let stamps = [before, stored(&world, "two").await, stored(&world, "one").await]
        .map(|function| function["spec"]["package"]["packageref"]["resourceversion"].as_str().unwrap().to_owned());
    assert_ne!(stamps[0], stamps[1]);
    assert_eq!(stamps[1], stamps[2]);
}

#[tokio::test]
async fn describe_shows_everything_on_one_page() {
    let world = World::with_function().await;
    world.ok("route create --name hello --url /hello --function hello").await;
    let page = world.ok("fn describe --name hello").await;
    let page: Vec<&str> = page.lines().filter(|line| !line.starts_with("Created:")).collect();
    assert_snapshot!(without_uuids(&page.join("\n")), @r"
    Name:        hello
    Namespace:   default
    Environment: nodejs
    Executor:    poolmgr
    Package:     hello-UUID
    Invocable:   true
    Labels:      <none>

    PACKAGE
    Build status: 
    Deployment:   literal, 71 bytes

    ROUTES
    NAME  METHOD URL
    hello GET    /hello

    PODS
    <none>
    ");
}

#[tokio::test]
async fn deleting_a_function_leaves_its_package() {
    let world = World::with_function().await;
    assert_snapshot!(world.ok("fn delete --name hello").await, @"function 'hello' deleted");
    assert_snapshot!(world.fails("fn delete --name hello").await, @r"
    Error: function 'hello' not found in namespace 'default'; there are none
    hint: create it with: fission function create --name hello --env ENV --code FILE
    ");
    assert_eq!(world.ok("pkg list -o name").await.lines().count(), 1);
    assert_snapshot!(world.ok("pkg delete --orphan").await, @"Orphan packages deleted");
    assert_eq!(world.ok("pkg list -o name").await, "");
}

#[tokio::test]
async fn the_old_way_to_make_a_route_still_works() {
    let world = World::with_function().await;
    let made = world.ok("fn create --name two --env nodejs --code hello.js --url two --method get --method POST").await;
    assert_snapshot!(without_uuids(&made), @r"
    Package 'two-UUID' created
    function 'two' created
    route created: [GET POST] /two -> two
    ");
}

#[tokio::test]
async fn warnings_do_not_mix_with_output_for_programs() {
    let world = World::with_function().await;
    let ran = world.run("fn create --name cpu --env nodejs --code hello.js --mincpu 100 --secret none -o json").await;
    assert!(ran.good, "{}", ran.err);
    serde_json::from_str::<Value>(&ran.out).expect("only JSON is printed");
    assert_snapshot!(ran.err, @r"
    Warning: Secret 'none' does not exist in namespace 'default' yet
    Warning: cpu and memory of a poolmgr function are those of its environment; these flags have no effect
    ");
}

#[tokio::test]
async fn logs_of_an_unknown_function_say_so() {
    let world = World::with_function().await;
    assert_eq!(world.ok("fn logs --name hello").await, "");
    assert_snapshot!(world.fails("fn logs --name helo").await, @r"
    Error: function 'helo' not found in namespace 'default'; known: hello
    hint: create it with: fission function create --name helo --env ENV --code FILE
    ");
}

#[tokio::test]
async fn an_update_wins_over_controllers_that_write_at_the_same_time() {
    let world = World::with_function().await;
    let functions: Api<fission_api::Function> = Api::namespaced(world.client(), "default");
    let busy = async {
        for count in 0.. {
            let note = Patch::Merge(json!({ "metadata": { "annotations": { "count": format!("{count}") } } }));
            functions.patch("hello", &PatchParams::default(), &note).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    };
    let updates = async {
        for concurrency in 1..20 {
            world.ok(&format!("fn update --name hello --concurrency {concurrency}")).await;
        }
    };
    tokio::select! {
        () = busy => {}
        () = updates => {}
    }
    assert_eq!(stored(&world, "hello").await["spec"]["concurrency"], 19);
}
