//! `fission function run-container` and `update-container`: functions that are an image.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::world::World;

async fn stored(world: &World, name: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("fn get --name {name} -o json")).await).unwrap()
}

async fn with_container() -> World {
    let world = World::new();
    world.ok("fn runc --name site --image nginx --port 80 --command 'nginx -g \"daemon off;\"' --mincpu 100").await;
    world
}

#[tokio::test]
async fn an_image_becomes_a_function_with_every_default_written_out() {
    let world = World::new();
    assert_snapshot!(world.ok("fn run-container --name site --image nginx").await, @"function 'site' created");
    let spec = stored(&world, "site").await["spec"].clone();
    assert_eq!(
        spec["podspec"],
        json!({
            "containers": [
                { "name": "site", "image": "nginx", "ports": [{ "name": "http-env", "containerPort": 8888 }] },
            ],
            "terminationGracePeriodSeconds": 360,
        }),
        "no command, no arguments and no pull secret where none is given"
    );
    let strategy = &spec["InvokeStrategy"];
    assert_eq!(strategy["StrategyType"], "execution");
    let strategy = &strategy["ExecutionStrategy"];
    assert_eq!(strategy["ExecutorType"], "container");
    assert_eq!((&strategy["MinScale"], &strategy["MaxScale"]), (&json!(1), &json!(1)));
    assert_eq!((&spec["functionTimeout"], &spec["idletimeout"]), (&json!(60), &json!(120)));
    assert_eq!((&spec["environment"]["name"], &spec["package"]["packageref"]["name"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn dry_prints_the_function_with_its_namespace() {
    let world = World::new();
    let line = "fn runc --name echo --image busybox --port 80 --command 'sh -c' --args '\"exec httpd -f -p 80\"' \
                --imagepullsecret registry --graceperiod 5 --minscale 0 --maxscale 5 --targetcpu 60 --maxmemory 64 \
                --secret s --env-var A=1 --fntimeout 10 --idletimeout 30 --labels a=b --annotation c=d --dry";
    assert_snapshot!(world.ok(line).await, @r#"
    apiVersion: fission.io/v1
    kind: Function
    metadata:
      annotations:
        c: d
      labels:
        a: b
      name: echo
      namespace: default
    spec:
      InvokeStrategy:
        ExecutionStrategy:
          ExecutorType: container
          MaxScale: 5
          MinScale: 0
          SpecializationTimeout: 0
          TargetCPUPercent: 0
          hpaMetrics:
          - resource:
              name: cpu
              target:
                averageUtilization: 60
                type: Utilization
            type: Resource
        StrategyType: execution
      configmaps: null
      env:
      - name: A
        value: "1"
      environment:
        namespace: ""
      functionTimeout: 10
      idletimeout: 30
      package:
        packageref:
          namespace: ""
      podspec:
        containers:
        - args:
          - exec httpd -f -p 80
          command:
          - sh
          - -c
          image: busybox
          name: echo
          ports:
          - containerPort: 80
            name: http-env
        imagePullSecrets:
        - name: registry
        terminationGracePeriodSeconds: 5
      resources:
        limits:
          memory: 64Mi
      secrets:
      - name: s
        namespace: default
    "#);
    world.ok("spec init").await;
    assert_snapshot!(world.ok("fn runc --name site --image nginx --spec").await, @"Saving Function 'default/site' to 'specs/function-site.yaml'");
    assert!(world.ok("spec validate").await.ends_with("Validation Successful\n"));
}

#[tokio::test]
async fn a_container_is_shown_with_its_image_instead_of_an_environment() {
    let world = with_container().await;
    assert_snapshot!(world.ok("fn list").await, @r"
    NAME ENV EXECUTORTYPE MINSCALE MAXSCALE MINCPU MAXCPU MINMEMORY MAXMEMORY SECRETS CONFIGMAPS READY  NAMESPACE
    site     container    1        1        100m   100m   0         0                            <none> default
    ");
    let wide = world.ok("fn list -o wide").await;
    assert!(wide.lines().next().unwrap().ends_with("PACKAGE IMAGE AGE"), "{wide}");
    assert!(wide.contains(" nginx "), "{wide}");
    let page = world.ok("fn describe --name site").await;
    let page: Vec<&str> = page.lines().filter(|line| !line.starts_with("Created:")).collect();
    assert_snapshot!(page.join("\n"), @r#"
    Name:      site
    Namespace: default
    Executor:  container
    Invocable: true
    Labels:    <none>

    CONTAINER
    Image:        nginx
    Command:      nginx -g "daemon off;"
    Port:         80
    Grace period: 360

    PODS
    <none>
    "#);
    assert_snapshot!(world.ok("fn getmeta --name site").await, @r"
    Name:        site
    Image:       nginx
    Labels:      <none>
    Annotations: <none>
    ");
    assert_snapshot!(world.fails("fn get --name site").await, @r"
    Error: function 'site' has no package: its code is in its image nginx
    hint: see it with: fission function describe --name site
    ");
}

#[tokio::test]
async fn an_update_leaves_what_is_not_given() {
    let world = with_container().await;
    let before = stored(&world, "site").await;
    assert_snapshot!(world.ok("fn updatec --name site --image nginx:2").await, @"function 'site' updated");
    let mut expected = before["spec"].clone();
    expected["podspec"]["containers"][0]["image"] = json!("nginx:2");
    assert_eq!(stored(&world, "site").await["spec"], expected, "the port and the command stay");
    world.ok("fn update-container --name site --port 8080 --command '' --args '-v' --maxscale 3 --env-var A=1").await;
    let after = stored(&world, "site").await["spec"].clone();
    assert_eq!(
        after["podspec"]["containers"],
        json!([{
            "name": "site", "image": "nginx:2", "args": ["-v"],
            "ports": [{ "name": "http-env", "containerPort": 8080 }],
        }])
    );
    assert_eq!(after["InvokeStrategy"]["ExecutionStrategy"]["MaxScale"], 3);
    assert_eq!(after["resources"], before["spec"]["resources"]);
}

#[tokio::test]
async fn pull_secret_and_grace_period_can_be_changed_and_nothing_else_of_the_pod_does() {
    let world = World::new();
    world.file(
        "site.yaml",
        "apiVersion: fission.io/v1\nkind: Function\nmetadata: {name: site}\nspec:\n  environment: {namespace: ''}\n  \
         package: {packageref: {namespace: ''}}\n  InvokeStrategy: {StrategyType: execution, ExecutionStrategy: {ExecutorType: container, \
         MaxScale: 2}}\n  podspec:\n    nodeSelector: {disk: ssd}\n    imagePullSecrets: [{name: old}]\n    containers: \
         [{name: web, image: nginx, ports: [{name: web, containerPort: 80}]}]\n",
    );
    world.ok("spec init").await;
    std::fs::rename(world.path().join("site.yaml"), world.path().join("specs/site.yaml")).unwrap();
    world.ok("spec apply").await;
    world.ok("fn updatec --name site --imagepullsecret '' --graceperiod 9 --port 81").await;
    assert_eq!(
        stored(&world, "site").await["spec"]["podspec"],
        json!({
            "nodeSelector": { "disk": "ssd" },
            "terminationGracePeriodSeconds": 9,
            "containers": [{ "name": "web", "image": "nginx", "ports": [{ "name": "web", "containerPort": 81 }] }],
        })
    );
}

#[tokio::test]
async fn each_kind_of_function_is_changed_by_its_own_command() {
    let world = with_container().await;
    world.file("hello.js", "x");
    world.ok("env create --name nodejs --image fission/node-env").await;
    world.ok("fn create --name hello --env nodejs --code hello.js").await;
    assert_snapshot!(world.fails("fn updatec --name hello --image nginx").await, @r"
    Error: function 'hello' is not a container image: it is code (poolmgr)
    hint: change it with: fission function update --name hello
    ");
    assert_snapshot!(world.fails("fn update --name site --code hello.js").await, @r"
    Error: function 'site' is a container image and has no code of its own
    hint: change it with: fission function update-container --name site --image IMAGE
    ");
    world.ok("fn update --name site --minscale 2").await;
    let spec = stored(&world, "site").await["spec"].clone();
    let strategy = &spec["InvokeStrategy"]["ExecutionStrategy"];
    assert_eq!((&strategy["MinScale"], &strategy["MaxScale"]), (&json!(2), &json!(2)));
    assert_snapshot!(world.fails("fn create --name f --env nodejs --code hello.js --executortype container").await, @r"
    Error: a function of executor type container has an image of its own and no code
    hint: create it with: fission function run-container --name NAME --image IMAGE
    ");
}

#[tokio::test]
async fn what_is_wrong_is_told_before_anything_is_stored() {
    let world = World::new();
    assert_snapshot!(world.fails("fn runc --name site").await, @r#"
    Error: required flag(s) "image" not set
    hint: fission function run-container --name <NAME> --image <IMAGE>
    "#);
    assert_snapshot!(world.fails("fn runc --name site --image nginx --args '\"open'").await, @r#"
    Error: the quote " in --args is not closed: "open
    hint: close it, or write \" for the character itself
    "#);
    assert_snapshot!(world.fails("fn runc --name site --image nginx --minscale 3 --maxscale 2").await, @"Error: --minscale 3 is larger than --maxscale 2");
    let both = world.fails("fn runc --name site --image nginx --secret a --env-from-secret b").await;
    assert!(both.contains("may not be set together with secrets"), "{both}");
    assert_eq!(world.ok("fn list -o name").await, "");
    world.ok("fn runc --name site --image nginx").await;
    assert_snapshot!(world.fails("fn runc --name site --image nginx").await, @r"
    Error: a function with the same name already exists
    hint: change it with: fission function update-container --name site --image IMAGE
    ");
}
