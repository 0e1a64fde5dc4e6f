//! `fission spec ...`.

use insta::assert_snapshot;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::world::World;

const CONFIG: &str = "apiVersion: fission.io/v1
kind: DeploymentConfig
name: demo-app
uid: 11111111-2222-3333-4444-555555555555
";

const ENVIRONMENT: &str = "apiVersion: fission.io/v1
kind: Environment
metadata: { name: node, namespace: default }
spec:
  version: 3
  poolsize: 1
  runtime: { image: example.org/node-env:1 }
  builder: { image: example.org/node-builder:1, command: build }
  terminationGracePeriod: 30
";

const FUNCTION: &str = r#"kind: ArchiveUploadSpec
name: hello-src
include: ["hello.js"]
---
apiVersion: fission.io/v1
kind: Package
metadata: { name: hello-pkg, namespace: default }
spec:
  environment: { name: node, namespace: default }
  deployment: { type: url, url: "archive://hello-src" }
---
apiVersion: fission.io/v1
kind: Function
metadata: { name: hello, namespace: default }
spec:
  environment: { name: node, namespace: default }
  package:
    functionName: ""
    packageref: { name: hello-pkg, namespace: default }
  functionTimeout: 60
  idletimeout: 120
  concurrency: 500
  requestsPerPod: 1
  resources: {}
  secrets: null
  configmaps: null
  InvokeStrategy:
    StrategyType: execution
    ExecutionStrategy:
      ExecutorType: poolmgr
      MinScale: 0
      MaxScale: 0
      TargetCPUPercent: 0
      SpecializationTimeout: 120
"#;

const ROUTE: &str = r#"apiVersion: fission.io/v1
kind: HTTPTrigger
metadata: { name: hello-get, namespace: default }
spec:
  relativeurl: /hello
  methods: [GET]
  functionref: { type: name, name: hello, functionweights: null }
  host: ""
  method: ""
  createingress: false
  ingressconfig: { annotations: null, path: /hello, host: "*", tls: "" }
"#;

/// The example directory of the contract.
fn example() -> World {
    let world = World::new();
    world.file("hello.js", "module.exports = async () => ({ status: 200, body: 'hi' });\n");
    world.file("specs/fission-deployment-config.yaml", CONFIG);
    world.file("specs/env-node.yaml", ENVIRONMENT);
    world.file("specs/function-hello.yaml", FUNCTION);
    world.file("specs/route-hello.yaml", ROUTE);
    world
}

async fn function(world: &World) -> Value {
    serde_json::from_str(&world.ok("fn get --name hello -o json").await).unwrap()
}

#[tokio::test]
async fn the_example_directory_is_applied_once_and_then_up_to_date() {
    let world = example();
    assert_snapshot!(world.ok("spec validate").await, @r"
    DeployUID: 11111111-2222-3333-4444-555555555555
    Resources:
     * 1 ArchiveUploadSpec
     * 1 Environment
     * 1 Function
     * 1 HTTPTrigger
     * 1 Package
    Validation Successful
    ");
    assert_snapshot!(world.ok("spec apply --dry-run").await, @r"
    1 environment would be created: node
    1 package would be created: hello-pkg
    1 function would be created: hello
    1 HTTPTrigger would be created: hello-get
    (dry run - no changes made)
    ");
    assert_eq!(world.ok("fn list -o name").await, "");
    assert_snapshot!(world.ok("spec apply").await, @r"
    1 environment created: node
    1 package created: hello-pkg
    1 function created: hello
    1 HTTPTrigger created: hello-get
    ");
    assert_snapshot!(world.ok("spec apply").await, @"Everything up to date.");
    let listed = world.ok("spec list").await;
    let dated = |line: &&str| !line.contains("hello-pkg");
    assert_snapshot!(listed.lines().filter(dated).collect::<Vec<_>>().join("\n"), @r"
    Environments:
    NAME IMAGE                  BUILDER_IMAGE              POOLSIZE MINCPU MAXCPU MINMEMORY MAXMEMORY EXTNET GRACETIME
    node example.org/node-env:1 example.org/node-builder:1 1        0      0      0         0         false  30

    Packages:
    NAME      BUILD_STATUS ENV  LASTUPDATEDAT

    Functions:
    NAME  ENV  EXECUTORTYPE MINSCALE MAXSCALE MINCPU MAXCPU MINMEMORY MAXMEMORY SECRETS CONFIGMAPS
    hello node poolmgr      0        0        0      0      0         0                 

    HTTP Triggers:
    NAME      METHOD URL    FUNCTION(s) INGRESS HOST PATH   TLS ANNOTATIONS
    hello-get GET    /hello hello       false   *    /hello
    ");
    assert_eq!(world.ok("fn get --name hello").await, std::fs::read_to_string(world.path().join("hello.js")).unwrap());
    assert_snapshot!(world.ok("spec destroy").await, @r"
    Deleted HTTPTrigger default/hello-get
    Deleted Function default/hello
    Deleted Package default/hello-pkg
    Deleted Environment default/node
    ");
    assert_eq!(world.ok("env list -o name").await, "");
}

#[tokio::test]
async fn only_what_changed_is_updated_and_a_changed_package_redeploys_its_function() {
    let world = example();
    world.ok("spec apply").await;
    let before = function(&world).await;
    world.file("specs/route-hello.yaml", ROUTE.replace("[GET]", "[GET, POST]"));
    assert_snapshot!(world.ok("spec apply").await, @"1 HTTPTrigger updated: hello-get");
    world.file("hello.js", "changed");
    assert_snapshot!(world.ok("spec apply").await, @r"
    1 package updated: hello-pkg
    1 function updated: hello
    ");
    let after = function(&world).await;
    let stamp = |function: &Value| function["spec"]["package"]["packageref"]["resourceversion"].clone();
    assert_ne!(stamp(&before), stamp(&after));
}

#[tokio::test]
async fn a_status_change_of_a_package_redeploys_nothing() {
    let world = example();
    world.ok("spec apply").await;
    let before = function(&world).await;
    let packages: Api<fission_api::Package> = Api::namespaced(world.client(), "default");
    let status = Patch::Merge(json!({ "status": { "buildstatus": "none" } }));
    packages.patch_status("hello-pkg", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(world.ok("spec apply").await, "Everything up to date.\n");
    assert_eq!(function(&world).await["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn finalizers_of_others_survive_an_update() {
    let world = example();
    world.ok("spec apply").await;
    let functions: Api<fission_api::Function> = Api::namespaced(world.client(), "default");
    let finalizer = Patch::Merge(json!({ "metadata": { "finalizers": ["fission.io/function-cleanup"] } }));
    functions.patch("hello", &PatchParams::default(), &finalizer).await.unwrap();
    world.file("specs/function-hello.yaml", FUNCTION.replace("concurrency: 500", "concurrency: 5"));
    world.ok("spec apply").await;
    let stored = function(&world).await;
    assert_eq!(stored["spec"]["concurrency"], 5);
    assert_eq!(stored["metadata"]["finalizers"], json!(["fission.io/function-cleanup"]));
}

#[tokio::test]
async fn objects_of_others_are_left_alone_unless_conflicts_are_allowed() {
    let world = example();
    world.ok("env create --name node --image mine").await;
    assert_snapshot!(world.fails("spec apply").await, @"Error: the specs are not valid: specs/env-node.yaml:1: Environment: 'node/default' with different deploy uid already exists (see --allowconflicts)");
    assert_snapshot!(world.fails("spec apply --validation=false").await, @"Error: specs/env-node.yaml:1: Environment: 'node/default' with different deploy uid already exists (see --allowconflicts)");
    assert!(world.ok("env get --name node").await.contains("mine"));
    world.ok("spec apply --allowconflicts").await;
    assert!(world.ok("env get --name node").await.contains("example.org/node-env:1"));
}

#[tokio::test]
async fn what_no_file_names_any_more_is_deleted_only_when_asked() {
    let world = example();
    world.ok("env create --name unrelated --image i").await;
    world.ok("spec apply").await;
    std::fs::remove_file(world.path().join("specs/route-hello.yaml")).unwrap();
    assert_eq!(world.ok("spec apply").await, "Everything up to date.\n");
    assert_snapshot!(world.ok("spec apply --delete --dry-run").await, @r"
    1 HTTPTrigger would be deleted: hello-get
    (dry run - no changes made)
    ");
    assert_snapshot!(world.ok("spec apply --delete").await, @"1 HTTPTrigger deleted: hello-get");
    assert!(world.ok("env list -o name").await.contains("environment/unrelated"));
}

#[tokio::test]
async fn destroy_by_force_finds_what_no_file_names() {
    let world = example();
    world.ok("spec apply").await;
    for file in ["env-node", "function-hello", "route-hello"] {
        std::fs::remove_file(world.path().join(format!("specs/{file}.yaml"))).unwrap();
    }
    assert_eq!(world.ok("spec destroy").await, "");
    assert_eq!(world.ok("spec destroy --force").await.lines().count(), 4);
}

#[tokio::test]
async fn a_forced_namespace_is_everyones() {
    let world = example();
    let namespaces: Api<kube::core::DynamicObject> = Api::all_with(
        world.client(),
        &kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Namespace")),
    );
    let team =
        serde_json::from_value(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team" } }));
    namespaces.create(&Default::default(), &team.unwrap()).await.unwrap();
    world.ok("spec apply -n team --force-namespace").await;
    assert_eq!(world.ok("fn list -o name").await, "");
    let stored: Value = serde_json::from_str(&world.ok("fn get --name hello -n team -o json").await).unwrap();
    assert_eq!(stored["spec"]["environment"]["namespace"], "team");
}

#[tokio::test]
async fn wrong_specs_are_refused_with_their_place() {
    let world = example();
    world.file("specs/a.yaml", FUNCTION);
    assert_snapshot!(world.fails("spec validate").await, @"Error: specs/function-hello.yaml:1: ArchiveUploadSpec 'hello-src' is already defined at specs/a.yaml:1");
    let wrong =
        FUNCTION.replace("archive://hello-src", "archive://none").replace("name: hello-pkg, name", "name: p, name");
    world.file("specs/function-hello.yaml", wrong.replace("kind: Function", "kind: Environment"));
    world.file("specs/a.yaml", "");
    assert_snapshot!(world.fails("spec validate").await, @r"
    Error: the specs are not valid: 4 errors
      specs/function-hello.yaml:4: archive archive://none is not defined
      specs/function-hello.yaml:1: archive hello-src is used by no package
      specs/function-hello.yaml:11: Environment 'hello' is invalid: spec.runtime: Required value; spec.version: Required value
      specs/route-hello.yaml:1: function 'hello' is not in the specs
    ");
    world.file("specs/function-hello.yaml", FUNCTION);
    world.file(
        "specs/a.yaml",
        "kind: ArchiveUploadSpec\nname: unused\ninclude: [x]\n---\nkind: CanaryConfig\nmetadata: {name: c}\n",
    );
    let ran = world.run("spec validate").await;
    assert_snapshot!(ran.err, @"Error: the specs are not valid: specs/a.yaml:1: archive unused is used by no package");
    assert!(ran.out.contains("Warning: specs/a.yaml:4: kind CanaryConfig is not managed by specs"), "{}", ran.out);
    world.file("specs/a.yaml", ROUTE.replace("hello-get", "second"));
    assert_snapshot!(world.fails("spec apply").await, @"Error: HTTPTrigger 'second' and 'hello-get' match the same path with the same methods");
    world.file("specs/a.yaml", "a: [");
    let broken = world.fails("spec apply").await;
    assert!(broken.starts_with("Error: specs/a.yaml:1: "), "{broken}");
}

#[tokio::test]
async fn ignored_files_are_not_read() {
    let world = example();
    world.file("specs/broken.yaml", "a: [");
    world.file("specs/.specignore", "broken.yaml\n");
    world.ok("spec validate").await;
    assert!(world.fails("spec validate --specignore none").await.contains("does not exist"));
}

#[tokio::test]
async fn a_deployment_grows_from_commands() {
    let world = World::new();
    world.file("hello.js", "module.exports = 1;\n");
    let early = world.fails("env create --name nodejs --image fission/node-env --spec").await;
    assert_snapshot!(early, @r"
    Error: there is no specs/fission-deployment-config.yaml here
    hint: make a spec directory first with: fission spec init
    ");
    assert_snapshot!(world.ok("spec init --name shop --id 1-2-3").await, @"Creating fission spec directory 'specs'");
    assert!(world.fails("spec init").await.contains("exists already"));
    assert_snapshot!(world.ok("env create --name nodejs --image fission/node-env --poolsize 1 --spec").await, @"Saving Environment 'nodejs' to 'specs/env-nodejs.yaml'");
    assert_snapshot!(world.ok("fn create --name hello --env nodejs --code hello.js --spec").await, @r"
    Saving ArchiveUploadSpec 'hello-js-8881' to 'specs/function-hello.yaml'
    Saving Package 'hello' to 'specs/function-hello.yaml'
    Saving Function 'hello' to 'specs/function-hello.yaml'
    ");
    assert_snapshot!(world.ok("route create --name hello --url /hello --function hello --spec").await, @"Saving HTTPTrigger 'hello' to 'specs/route-hello.yaml'");
    let written = std::fs::read_to_string(world.path().join("specs/function-hello.yaml")).unwrap();
    assert_snapshot!(written, @r#"
    include:
    - hello.js
    kind: ArchiveUploadSpec
    name: hello-js-8881
    ---
    apiVersion: fission.io/v1
    kind: Package
    metadata:
      name: hello
    spec:
      deployment:
        type: url
        url: archive://hello-js-8881
      environment:
        name: nodejs
        namespace: ""
    ---
    apiVersion: fission.io/v1
    kind: Function
    metadata:
      name: hello
    spec:
      InvokeStrategy:
        ExecutionStrategy:
          ExecutorType: poolmgr
          MaxScale: 0
          MinScale: 0
          SpecializationTimeout: 120
          TargetCPUPercent: 0
        StrategyType: execution
      concurrency: 500
      configmaps: null
      environment:
        name: nodejs
        namespace: ""
      functionTimeout: 60
      idletimeout: 120
      package:
        packageref:
          name: hello
          namespace: ""
      requestsPerPod: 1
      resources: {}
      secrets: null
    "#);
    assert_snapshot!(world.fails("fn create --name hello --env nodejs --code hello.js --spec").await, @r"
    Error: Package 'hello' is already in the specs: specs/function-hello.yaml:5
    hint: change that file, then run: fission spec apply
    ");
    assert_snapshot!(world.ok("spec validate").await, @r"
    DeployUID: 1-2-3
    Resources:
     * 1 ArchiveUploadSpec
     * 1 Environment
     * 1 Function
     * 1 HTTPTrigger
     * 1 Package
    Validation Successful
    ");
    assert_snapshot!(world.ok("spec apply").await, @r"
    1 environment created: nodejs
    1 package created: hello
    1 function created: hello
    1 HTTPTrigger created: hello
    ");
    assert_eq!(world.ok("spec apply").await, "Everything up to date.\n");
    assert_eq!(world.ok("fn get --name hello").await, "module.exports = 1;\n");
}

#[tokio::test]
async fn a_dry_run_of_a_create_prints_what_it_would_write() {
    let world = World::new();
    world.file("hello.js", "1");
    assert_snapshot!(world.ok("fn create --name hello --env nodejs --code hello.js --dry -n team").await, @r"
    include:
    - hello.js
    kind: ArchiveUploadSpec
    name: hello-js-8881
    ---
    apiVersion: fission.io/v1
    kind: Package
    metadata:
      name: hello
      namespace: team
    spec:
      deployment:
        type: url
        url: archive://hello-js-8881
      environment:
        name: nodejs
        namespace: team
    ---
    apiVersion: fission.io/v1
    kind: Function
    metadata:
      name: hello
      namespace: team
    spec:
      InvokeStrategy:
        ExecutionStrategy:
          ExecutorType: poolmgr
          MaxScale: 0
          MinScale: 0
          SpecializationTimeout: 120
          TargetCPUPercent: 0
        StrategyType: execution
      concurrency: 500
      configmaps: null
      environment:
        name: nodejs
        namespace: team
      functionTimeout: 60
      idletimeout: 120
      package:
        packageref:
          name: hello
          namespace: team
      requestsPerPod: 1
      resources: {}
      secrets: null
    ");
    assert!(!world.path().join("specs").exists());
}

#[tokio::test]
async fn watching_applies_a_changed_file_again_and_minds_no_other() {
    let world = example();
    let watching = world.run("spec apply --watch");
    let changing = async {
        let poolsize = async || {
            let environments: Api<fission_api::Environment> = Api::namespaced(world.client(), "default");
            environments.get_opt("node").await.unwrap().map(|environment| environment.spec.poolsize)
        };
        let becomes = async |size: i64| {
            while poolsize().await != Some(size) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        becomes(1).await;
        world.file("unrelated.txt", "x");
        world.file("specs/env-node.yaml", ENVIRONMENT.replace("poolsize: 1", "poolsize: 2"));
        becomes(2).await;
    };
    tokio::select! {
        ran = watching => panic!("watching ended: {ran:?}"),
        done = tokio::time::timeout(std::time::Duration::from_secs(30), changing) => done.expect("the change is applied"),
    }
}
