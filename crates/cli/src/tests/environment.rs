//! `fission environment ...`.

use insta::assert_snapshot;
use serde_json::Value;

use super::world::World;

#[tokio::test]
async fn an_environment_is_created_listed_changed_and_deleted() {
    let world = World::new();
    let created = world.ok("env create --name nodejs --image fission/node-env --mincpu 100 --maxmemory 256").await;
    assert_snapshot!(created, @r"
    poolsize setting default to 3
    environment 'nodejs' created
    ");
    assert_snapshot!(world.ok("environment list").await, @r"
    NAME   IMAGE            BUILDER_IMAGE POOLSIZE MINCPU MAXCPU MINMEMORY MAXMEMORY EXTNET GRACETIME NAMESPACE
    nodejs fission/node-env               3        100m   100m   0         256Mi     false  90        default
    ");
    assert_snapshot!(world.ok("env get --name nodejs").await, @r"
    NAME   IMAGE
    nodejs fission/node-env
    ");
    assert_snapshot!(world.ok("env update --name nodejs --poolsize 5").await, @"environment 'nodejs' updated");
    assert_snapshot!(world.ok("env list").await, @r"
    NAME   IMAGE            BUILDER_IMAGE POOLSIZE MINCPU MAXCPU MINMEMORY MAXMEMORY EXTNET GRACETIME NAMESPACE
    nodejs fission/node-env               5        100m   100m   0         256Mi     false  90        default
    ");
    assert_snapshot!(world.ok("env list -o name").await, @"environment/nodejs");
    assert_snapshot!(world.ok("env delete --name nodejs").await, @"environment 'nodejs' deleted");
    assert_snapshot!(world.ok("env delete --name nodejs --ignorenotfound").await, @"");
}

#[tokio::test]
async fn what_is_stored_is_what_fissions_own_tools_store() {
    let world = World::new();
    let yaml = world.ok("env create --name go --image fission/go-env --builder fission/go-builder --dry").await;
    assert_snapshot!(yaml, @r#"
    apiVersion: fission.io/v1
    kind: Environment
    metadata:
      name: go
    spec:
      builder:
        command: build
        container:
          name: builder
        image: fission/go-builder
        podspec:
          containers:
          - name: builder
      imagepullsecret: ""
      keeparchive: false
      poolsize: 3
      resources: {}
      runtime:
        container:
          name: go
        image: fission/go-env
        podspec:
          containers:
          - name: go
      terminationGracePeriod: 90
      version: 3
    "#);
}

#[tokio::test]
async fn the_grace_period_is_really_ninety_seconds() {
    let world = World::new();
    let stored: Value =
        serde_json::from_str(&world.ok("env create --name a --image i -o json").await).expect("only JSON is printed");
    assert_eq!(stored["spec"]["terminationGracePeriod"], 90);
    let stored: Value =
        serde_json::from_str(&world.ok("env create --name b --image i --period 0 -o json").await).unwrap();
    assert_eq!(stored["spec"]["terminationGracePeriod"], 0);
}

#[tokio::test]
async fn lists_are_bare_arrays() {
    let world = World::new();
    assert_eq!(world.ok("env list -o json").await, "[]\n");
    world.ok("env create --name nodejs --image i").await;
    let list: Value = serde_json::from_str(&world.ok("env list -o json").await).unwrap();
    assert_eq!((list[0]["kind"].as_str(), list[0]["metadata"]["name"].as_str()), (Some("Environment"), Some("nodejs")));
    assert!(world.ok("env list -o yaml").await.starts_with("- apiVersion: fission.io/v1\n"));
}

#[tokio::test]
async fn wrong_environments_are_refused_before_anything_is_sent() {
    let world = World::new();
    let builder = world.fails("env create --name old --image i --version 1 --builder b").await;
    assert_snapshot!(builder, @r"
    Error: an environment of version 1 cannot have a builder
    hint: use --version 2 or 3
    ");
    assert_snapshot!(world.fails("env create --name a --image i --mincpu 2 --maxcpu 1").await, @"Error: --mincpu 2 is larger than --maxcpu 1");
    assert_snapshot!(world.fails("env create --name Bad_Name --image i").await, @r#"Error: Environment 'Bad_Name' is invalid: metadata.name: Invalid value: "Bad_Name": must be lower-case letters, digits and '-', beginning and ending with a letter or digit"#);
    assert_snapshot!(world.fails("env create --name nodejs").await, @r#"
    Error: required flag(s) "image" not set
    hint: fission environment create --name <NAME> --image <IMAGE>
    "#);
    assert_snapshot!(world.fails("env list -o xml").await, @r#"
    Error: invalid value 'xml' for '--output <FORMAT>': invalid output format "xml": valid values are wide, json, yaml, name

    For more information, try '--help'.
    "#);
}

#[tokio::test]
async fn a_missing_environment_is_named_with_those_there_are() {
    let world = World::new();
    assert_snapshot!(world.fails("env get --name nodejs").await, @r"
    Error: environment 'nodejs' not found in namespace 'default'; there are none
    hint: create it with: fission environment create --name nodejs --image fission/node-env
    ");
    world.ok("env create --name python --image fission/python-env").await;
    assert_snapshot!(world.fails("env update --name nodejs --poolsize 1").await, @r"
    Error: environment 'nodejs' not found in namespace 'default'; known: python
    hint: create it with: fission environment create --name nodejs --image fission/node-env
    ");
    assert_snapshot!(world.fails("env delete --name nodejs").await, @r"
    Error: environment 'nodejs' not found in namespace 'default'; known: python
    hint: create it with: fission environment create --name nodejs --image fission/node-env
    ");
}

#[tokio::test]
async fn an_environment_in_use_is_deleted_only_by_force() {
    let world = World::with_function().await;
    assert_snapshot!(world.fails("env delete --name nodejs").await, @r"
    Error: environment 'nodejs' is used by: hello
    hint: delete these functions first, or use --force
    ");
    world.ok("env delete --name nodejs --force").await;
}

#[tokio::test]
async fn the_same_name_twice_is_refused() {
    let world = World::new();
    world.ok("env create --name nodejs --image i").await;
    assert_snapshot!(world.fails("env create --name nodejs --image i").await, @"Error: an environment with the same name already exists: 'nodejs'");
}

#[tokio::test]
async fn instances_are_listed_even_when_there_are_none() {
    let world = World::new();
    world.ok("env create --name nodejs --image i").await;
    assert_snapshot!(world.ok("env pods --name nodejs").await, @"NAME NAMESPACE READY STATUS IP EXECUTORTYPE MANAGED");
}

#[tokio::test]
async fn waiting_for_a_condition_ends_with_what_was_last_seen() {
    let world = World::new();
    let missing = world.fails("env wait --name nodejs --for condition=Ready --timeout 250ms").await;
    assert_snapshot!(missing, @r"
    Error: timed out after 250ms waiting for Environment/nodejs Ready=True: it does not exist
    hint: give more time with --timeout, or see why with -o yaml on get
    ");
    world.ok("env create --name nodejs --image i").await;
    assert_snapshot!(world.fails("env wait --name nodejs --for condition=Ready --timeout 1ms").await, @r"
    Error: timed out after 1ms waiting for Environment/nodejs Ready=True: nobody has set Ready
    hint: give more time with --timeout, or see why with -o yaml on get
    ");
    assert_snapshot!(world.fails("env wait --name nodejs --for Ready").await, @r#"Error: --for "Ready" is not of the form condition=Type[=True|False|Unknown]"#);
}
