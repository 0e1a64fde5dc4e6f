//! `fission route ...`.

use insta::assert_snapshot;
use serde_json::Value;

use super::world::{World, without_uuids};

async fn stored(world: &World, name: &str) -> Value {
    serde_json::from_str::<Value>(&world.ok(&format!("route get --name {name} -o json")).await).unwrap()["spec"].clone()
}

#[tokio::test]
async fn a_route_is_created_listed_and_deleted() {
    let world = World::with_function().await;
    assert_snapshot!(world.ok("route create --name hello --url hello --function hello").await, @"trigger 'hello' created");
    world.ok("ht create --name api --prefix /api --keepprefix --method get --method POST --function hello").await;
    assert_snapshot!(world.ok("route list").await, @r"
    NAME  METHOD   URL    FUNCTION(s) INGRESS HOST PATH   TLS ANNOTATIONS READY  NAMESPACE
    api   GET,POST /api   hello       false   *    /api                   <none> default
    hello GET      /hello hello       false   *    /hello                 <none> default
    ");
    assert_snapshot!(world.ok("route list --function other").await, @"NAME METHOD URL FUNCTION(s) INGRESS HOST PATH TLS ANNOTATIONS READY NAMESPACE");
    let spec = stored(&world, "hello").await;
    assert_eq!((spec["prefix"].as_str(), spec["relativeurl"].as_str()), (Some(""), Some("/hello")));
    assert_eq!(
        (spec["ingressconfig"]["host"].as_str(), spec["ingressconfig"]["path"].as_str()),
        (Some("*"), Some("/hello"))
    );
    assert_snapshot!(world.ok("route delete --name api").await, @"trigger 'api' deleted");
    assert_snapshot!(world.ok("route delete --function hello").await, @"trigger 'hello' deleted");
    assert_snapshot!(world.fails("route delete --function hello").await, @r"
    Error: no route calls function 'hello'
    hint: see the routes with: fission route list
    ");
}

#[tokio::test]
async fn methods_are_stored_in_upper_case() {
    let world = World::with_function().await;
    world.ok("route create --name hello --url /hello --method get --function hello").await;
    assert_eq!(stored(&world, "hello").await["methods"], serde_json::json!(["GET"]));
    assert_snapshot!(world.fails("route create --url /x --method FETCH --function hello").await, @r#"Error: --method "FETCH" must be one of GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE"#);
}

#[tokio::test]
async fn an_update_keeps_what_is_not_given() {
    let world = World::with_function().await;
    world.ok("route create --name hello --url /hello --method POST --function hello").await;
    assert_snapshot!(world.ok("route update --name hello --function hello --labels a=b").await, @"trigger 'hello' updated");
    let spec = stored(&world, "hello").await;
    assert_eq!((spec["relativeurl"].as_str(), &spec["methods"]), (Some("/hello"), &serde_json::json!(["POST"])));
    world.ok("route update --name hello --url /bye").await;
    let spec = stored(&world, "hello").await;
    assert_eq!((spec["relativeurl"].as_str(), spec["ingressconfig"]["path"].as_str()), (Some("/bye"), Some("/bye")));
    assert_eq!(spec["methods"], serde_json::json!(["POST"]));
}

#[tokio::test]
async fn weights_add_up_to_a_hundred() {
    let world = World::with_function().await;
    let weights =
        |one, two| format!("route create --name w --url /w --function a --weight {one} --function b --weight {two}");
    assert_snapshot!(world.fails(&weights(50, 60)).await, @"Error: --weight 50 and 60 must add up to 100");
    assert_snapshot!(world.fails("route create --url /w --function a --function b").await, @"Error: give one --function, or two with two --weight that add up to 100");
    assert_snapshot!(world.ok(&weights(90, 10)).await, @r"
    Warning: function 'a' does not exist in namespace 'default' yet
    Warning: function 'b' does not exist in namespace 'default' yet
    trigger 'w' created
    ");
    assert_eq!(stored(&world, "w").await["functionref"]["functionweights"], serde_json::json!({"a": 90, "b": 10}));
}

#[tokio::test]
async fn wrong_routes_are_refused() {
    let world = World::with_function().await;
    assert_snapshot!(world.fails("route create --url / --function hello").await, @r"
    Error: --url / is not possible: the router answers / itself
    hint: use a path such as /hello
    ");
    assert_snapshot!(world.fails("route create --function hello").await, @r#"
    Error: required flag(s) "url" not set
    hint: fission httptrigger create --function <FUNCTION> --url <PATH>
    "#);
    assert_snapshot!(world.fails("route create --url /x").await, @r#"
    Error: required flag(s) "function" not set
    hint: fission httptrigger create --function <FUNCTION> --url <PATH>
    "#);
    assert_snapshot!(without_uuids(&world.fails("route create --url /a/../b --function hello").await), @r#"Error: HTTPTrigger 'UUID' is invalid: spec.relativeurl: Invalid value: "/a/../b": may not contain '..'"#);
    world.ok("route create --name one --url /same --function hello").await;
    assert_snapshot!(world.fails("route create --name two --url /same --function hello").await, @r"
    Error: route 'one' already matches this path with these methods
    hint: change it with: fission route update --name one --function FUNCTION
    ");
    world.ok("route create --name two --url /same --method POST --function hello").await;
}

#[tokio::test]
async fn a_gateway_route_is_written_as_the_api_wants_it() {
    let world = World::with_function().await;
    let line = "route create --name g --url /g --function hello --route-provider gateway --gateway infra/main \
                --route-host example.org --dry";
    assert_snapshot!(world.ok(line).await, @r#"
    apiVersion: fission.io/v1
    kind: HTTPTrigger
    metadata:
      name: g
    spec:
      createingress: false
      functionref:
        functionweights: null
        name: hello
        type: name
      host: ""
      ingressconfig:
        annotations: null
        host: "*"
        path: /g
        tls: ""
      method: ""
      methods:
      - GET
      prefix: ""
      relativeurl: /g
      routeConfig:
        gateway:
          parentRefs:
          - name: main
            namespace: infra
        hostnames:
        - example.org
        path: /g
        provider: gateway
    "#);
}

#[tokio::test]
async fn the_list_shows_what_is_made_for_a_route_at_the_edge() {
    let world = World::with_function().await;
    world.ok("route create --name a --url /a --function hello").await;
    world.ok("route create --name b --url /b --function hello --createingress --ingressrule b.org=/x").await;
    let new = "--route-host c.org --route-host d.org --route-tls cert --route-annotation k=v";
    world.ok(&format!("route create --name c --url /c --function hello --route-provider ingress {new}")).await;
    world.ok("route create --name d --url /d --function hello --route-provider gateway --gateway main").await;
    assert_snapshot!(world.ok("route list").await, @r"
    NAME METHOD URL FUNCTION(s) INGRESS HOST        PATH TLS  ANNOTATIONS READY  NAMESPACE
    a    GET    /a  hello       false   *           /a                    <none> default
    b    GET    /b  hello       true    b.org       /x                    <none> default
    c    GET    /c  hello       ingress c.org,d.org /c   cert k=v         <none> default
    d    GET    /d  hello       gateway *           /d                    <none> default
    ");
}

#[tokio::test]
async fn a_route_to_nothing_is_made_with_a_warning() {
    let world = World::new();
    assert_snapshot!(world.ok("route create --name later --url /later --function later").await, @r"
    Warning: function 'later' does not exist in namespace 'default' yet
    trigger 'later' created
    ");
}
