//! Attempts on the network: kinds of sockets, the host's sockets and ports, the platform's doors, metadata of clouds, and
//! what is left with each `fission.io/network`.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde_json::Value;

use crate::ground::Ground;

/// An attacker with a network, and what it gets to.
async fn reached(ground: &Ground, attacker: &str, to: &[String]) -> Value {
    let (status, body) = ground.try_it(attacker, &format!("connect&to={}", to.join(","))).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn port_of_the_host() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = format!("tcp:{}", listener.local_addr().expect("its address"));
    (listener, target)
}

fn bare(url: &str) -> &str {
    url.trim_start_matches("http://")
}

pub(crate) async fn raw_netlink_and_packet_sockets_are_refused(ground: &Ground) {
    ground.all_refused("sockets", &["EPERM"]).await;
}

pub(crate) async fn abstract_sockets_of_the_host_are_out_of_reach(ground: &Ground) {
    if !ground.has_or_skips("scopes") {
        return;
    }
    let name = format!("fission-escape-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    // Two platforms may be tried at once.
    let _listener = UnixListener::bind_addr(&address);
    assert!(std::os::unix::net::UnixStream::connect_addr(&address).is_ok(), "it can be reached from outside");
    ground.all_refused(&format!("connect&to=abstract:{name}"), &["EPERM"]).await;
}

pub(crate) async fn the_platforms_doors_stay_shut(ground: &Ground) {
    let data = ground.platform.data().join("status.json");
    let status: Value = serde_json::from_slice(&std::fs::read(data).unwrap()).unwrap();
    let internal = bare(status["internal"].as_str().expect("its internal listener")).to_owned();
    let api = bare(&ground.platform.api).to_owned();
    for (to, path) in [
        (&api, "/api/v1/namespaces/default/secrets/secret"),
        (&api, "/apis/fission.io/v1/functions"),
        (&api, "/fission/v1/status"),
        (&internal, "/fission-function/neighbour"),
        (&internal, "/fission-function/default/neighbour"),
    ] {
        let answer = ground.outcome(&format!("http&to={to}&path={path}")).await;
        let answer = answer.as_str().unwrap();
        assert!(answer.contains(" 401 ") || answer.contains(" 403 "), "{path}: {answer}");
    }
}

pub(crate) async fn metadata_is_out_of_reach(ground: &Ground) {
    if !ground.has_or_skips("egress") {
        return;
    }
    let to = "tcp:169.254.169.254:80,udp:169.254.169.254:80,tcp:100.100.100.200:80,tcp:fd00:ec2::254:80,\
              tcp:::ffff:169.254.169.254:80,udp:::ffff:169.254.169.254:80,tcp:169.254.170.2:80";
    ground.all_refused(&format!("connect&to={to}"), &["EPERM"]).await;
}

pub(crate) async fn without_a_network_nothing_is_reached(ground: &Ground) {
    if !ground.has_or_skips("network") {
        return;
    }
    let (_listener, port) = port_of_the_host();
    ground.attacker("no-network", &["--network", "none"]);
    let to =
        [port, format!("tcp:{}", bare(&ground.platform.api)), "tcp:169.254.169.254:80".into(), "tcp:1.1.1.1:53".into()];
    for (target, answer) in reached(ground, "no-network", &to).await.as_object().unwrap() {
        assert_eq!(answer, "ENETUNREACH", "{target}");
    }
    let (_, body) = ground.try_it("no-network", "own_loopback").await;
    assert_eq!(body, "\"ENETUNREACH\"", "not even itself");
}

pub(crate) async fn with_loopback_only_itself_is_reached(ground: &Ground) {
    if !ground.has_or_skips("network") {
        return;
    }
    let (_listener, port) = port_of_the_host();
    ground.attacker("loopback", &["--network", "loopback"]);
    let answers = reached(ground, "loopback", &[port.clone(), "tcp:1.1.1.1:53".into()]).await;
    assert_eq!((&answers[&port], &answers["tcp:1.1.1.1:53"]), (&"ECONNREFUSED".into(), &"ENETUNREACH".into()));
    let (_, body) = ground.try_it("loopback", "own_loopback").await;
    assert_eq!(body, "\"reached\"");
}

pub(crate) async fn of_an_allow_list_only_what_is_listed_is_reached(ground: &Ground) {
    let ((_one, listed), (_two, other)) = (port_of_the_host(), port_of_the_host());
    let address = listed.trim_start_matches("tcp:");
    ground.attacker("allow-list", &["--network", "allow-list", "--network-allow", address]);
    if ground.isolation["egress"].is_some() {
        let (status, body) = ground.try_it("allow-list", "own_loopback").await;
        assert!(status >= 500 && body.contains("allow-list"), "what cannot be kept is refused: {status} {body}");
        return;
    }
    let to = [listed.clone(), other.clone(), "udp:127.0.0.1:9".into(), "tcp:169.254.169.254:80".into()];
    for (target, answer) in reached(ground, "allow-list", &to).await.as_object().unwrap() {
        assert_eq!(answer, if *target == listed { "reached" } else { "EPERM" }, "{target}");
    }
}

pub(crate) async fn a_changed_network_counts_for_the_next_request(ground: &Ground) {
    if !ground.has_or_skips("network") {
        return;
    }
    let (_listener, port) = port_of_the_host();
    ground.attacker("changing", &[]);
    assert_eq!(reached(ground, "changing", std::slice::from_ref(&port)).await[&port], "reached");
    ground.platform.ok(&["function", "update", "--name", "changing", "--network", "none"]);
    crate::world::eventually("the old instance is gone and the new one reaches nothing", || async {
        reached(ground, "changing", std::slice::from_ref(&port)).await[&port] == "ENETUNREACH"
    })
    .await;
    for _ in 0..10 {
        assert_eq!(reached(ground, "changing", std::slice::from_ref(&port)).await[&port], "ENETUNREACH");
    }
}

pub(crate) async fn a_network_nobody_knows_is_refused_with_its_place(ground: &Ground) {
    let code = ground.platform.source("other.py", "def main():\n    return ''\n");
    let create = ["function", "create", "--name", "other", "--env", "python-env", "--code", &code, "--annotation"];
    let said = ground.platform.fails(&[&create[..], &["fission.io/network=off"]].concat());
    assert!(said.contains("metadata.annotations[fission.io/network]") && said.contains("allow-list"), "{said}");
}
