//! Timers, watches, message queue triggers, and what needs no object at all.

use insta::assert_snapshot;

use super::world::World;

#[tokio::test]
async fn timers_are_objects() {
    let world = World::with_function().await;
    assert_snapshot!(world.ok("timer create --name tick --function hello --cron '@every 1m' --method get").await, @"trigger 'tick' created");
    assert_snapshot!(world.ok("tt update --name tick --cron '0 * * * *'").await, @"trigger 'tick' updated");
    assert_snapshot!(world.ok("timetrigger list").await, @r"
    NAME CRON      FUNCTION_NAME METHOD SUBPATH READY
    tick 0 * * * * hello         GET    /       <none>
    ");
    assert_snapshot!(world.ok("tt delete --name tick").await, @"trigger 'tick' deleted");
}

#[tokio::test]
async fn watches_are_objects() {
    let world = World::with_function().await;
    assert_snapshot!(world.ok("watch create --name pods --function hello").await, @"trigger 'pods' created");
    assert_snapshot!(world.ok("w list").await, @r"
    NAME NAMESPACE OBJTYPE LABELS FUNCTION_NAME READY
    pods default   pod     <none> hello         <none>
    ");
    assert_snapshot!(world.ok("w delete --name pods --function ignored").await, @"trigger 'pods' deleted");
}

#[tokio::test]
async fn message_queue_triggers_are_objects() {
    let world = World::with_function().await;
    assert_snapshot!(world.fails("mqt create --name q --function nobody --topic t").await, @r"
    Error: function 'nobody' not found in namespace 'default'; known: hello
    hint: create it with: fission function create --name nobody --env ENV --code FILE
    ");
    assert_snapshot!(world.ok("mqt create --name q --function hello --topic t --mqtkind fission").await, @"trigger 'q' created");
    assert_snapshot!(world.ok("mqt update --name q --errortopic failed --maxretries 2").await, @"message queue trigger 'q' updated");
    assert_snapshot!(world.ok("mqt list").await, @r"
    NAME FUNCTION_NAME MESSAGE_QUEUE_TYPE TOPIC RESPONSE_TOPIC ERROR_TOPIC MAX_RETRIES PUB_MSG_CONTENT_TYPE READY  NAMESPACE
    q    hello         kafka              t                    failed      2           application/json     <none> default
    ");
    assert_snapshot!(world.ok("mqt delete --name q").await, @"trigger 'q' deleted");
}

#[tokio::test]
async fn a_command_that_finds_no_platform_says_how_to_start_one() {
    let world = World::new();
    let down = world.ok(&format!("down --data {}/none", world.path().display())).await;
    assert_snapshot!(down, @"no platform runs in DIR/none");
    let status = world.fails(&format!("status --data {}/none", world.path().display())).await;
    assert_snapshot!(status, @r"
    Error: no platform runs in DIR/none
    hint: start one with: fission up
    ");
}

#[tokio::test]
async fn every_shell_gets_its_completion() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(world.ok(&format!("completion {shell}")).await.contains("fission"), "{shell}");
    }
}

#[tokio::test]
async fn the_version_of_this_binary_is_told_without_a_server() {
    let world = World::new();
    let version = world.ok("version --client-only").await;
    assert!(version.starts_with("client:\n  fission/core:\n"), "{version}");
    assert!(version.contains(&format!("Version: \"{}\"", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[tokio::test]
async fn a_dump_holds_objects_and_no_code() {
    let world = World::with_function().await;
    world.ok("support dump --nozip -o dump").await;
    let read = |name: &str| std::fs::read_to_string(world.path().join("dump").join(name)).unwrap();
    assert!(read("functions/default_hello.yaml").contains("kind: Function"));
    let packages = std::fs::read_dir(world.path().join("dump/packages")).unwrap();
    for package in packages {
        let text = std::fs::read_to_string(package.unwrap().path()).unwrap();
        assert!(text.contains("bytes left out"), "{text}");
    }
    let zipped = world.ok("support dump -o zipped").await;
    assert!(zipped.starts_with("The dump is in zipped_"), "{zipped}");
}
