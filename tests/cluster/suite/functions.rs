//! What functions can do in a cluster.

use crate::world::{Cluster, PODS, node, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_python_function_with_secrets_config_and_variables_gets_all_of_them() {
    let cluster = Cluster::shared("conf").await;
    let (secret, map) = (cluster.name("secret"), cluster.name("map"));
    text(&cluster.kubectl(&["create", "secret", "generic", &secret, "--from-literal=password=one"]), "secret");
    text(&cluster.kubectl(&["create", "configmap", &map, "--from-literal=most=9"]), "map");
    let env = cluster.environment("fission/python-env", 1);
    let code = format!(
        "import os\n\n\ndef main():\n    read = lambda path: open(path).read()\n    return ' '.join([read('/secrets/default/{secret}/password'), read('/configs/default/{map}/most'), os.environ['A'], os.environ['PASSWORD']])\n"
    );
    let from = format!("{secret}/password:PASSWORD");
    let name = cluster.function(
        "reads",
        &env,
        "reads.py",
        &code,
        &["--secret", &secret, "--configmap", &map, "--env-var", "A=flag", "--env-from-secret", &from],
    );
    let path = format!("/{name}");
    cluster.answers(&path, "one 9 flag one").await;
    // A changed secret reaches the function without anybody doing anything.
    let changed = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {secret}, namespace: default }}\nstringData: {{ password: two }}\n"
    );
    text(&cluster.apply(&changed), "changed");
    cluster.answers(&path, "two 9 flag two").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_archive_reaches_the_pod_through_the_storage() {
    let cluster = Cluster::shared("large").await;
    let env = cluster.environment("fission/node-env", 1);
    let padding: String = (0..400_000)
        .map(|number: u32| char::from(b'a' + (number.wrapping_mul(2_654_435_761) >> 24) as u8 % 26))
        .collect();
    let code = format!("// {padding}\n{}", node("large"));
    let name = cluster.function("file", &env, "large.js", &code, &[]);
    cluster.answers(&format!("/{name}"), "large").await;
    let package = cluster.get_json(&["packages", "-n", "default"]);
    let items = package["items"].as_array().unwrap().iter();
    let own = items.filter(|one| one["metadata"]["name"].as_str().unwrap().starts_with(&name));
    let urls: Vec<_> =
        own.map(|one| one["spec"]["deployment"]["url"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(urls.iter().any(|url| url.contains("/v1/archive?id=")), "{urls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_calls_lists_and_reads_logs() {
    let cluster = Cluster::shared("cli").await;
    let env = cluster.environment("fission/node-env", 1);
    let code =
        "module.exports = async () => { console.log('called once'); return { status: 200, body: 'called' }; };\n";
    let name = cluster.function("hello", &env, "hello.js", code, &[]);
    assert_eq!(cluster.fission_ok(&["function", "test", "--name", &name]).trim(), "called");
    let pods = cluster.fission_ok(&["function", "pods", "--name", &name]);
    assert!(pods.contains("poolmgr-"), "{pods}");
    let has_logged = || cluster.fission_ok(&["function", "logs", "--name", &name]).contains("called once");
    cluster.eventually("the function's output", has_logged).await;
    let check = cluster.fission_ok(&["check"]);
    assert!(check.contains("router") && check.contains("executor"), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn source_is_built_in_a_pod_and_runs() {
    let cluster = Cluster::shared("build").await;
    let env = cluster.name("env");
    cluster.fission_ok(&[
        "env",
        "create",
        "--name",
        &env,
        "--image",
        "fission/python-env",
        "--builder",
        "fission/python-builder",
        "--poolsize",
        "1",
    ]);
    cluster.write("src/user.py", "from words import WORD\n\n\ndef main():\n    return WORD\n");
    cluster.write("src/words.py", "WORD = 'built'\n");
    let name = cluster.name("src");
    cluster.fission_ok(&[
        "function",
        "create",
        "--name",
        &name,
        "--env",
        &env,
        "--src",
        "src",
        "--entrypoint",
        "user.main",
    ]);
    cluster.route(&name);
    cluster.answers(&format!("/{name}"), "built").await;
    let builders = cluster.get_json(&["deployments", "-n", PODS, "-l", "owner=buildermgr"]);
    assert!(!builders["items"].as_array().unwrap().is_empty());
}
