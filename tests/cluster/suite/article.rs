//! The article's commands, as they stand there, with only an address and a token.

use crate::world::{Cluster, PLATFORM, said};

#[tokio::test(flavor = "multi_thread")]
async fn the_articles_commands_answer_hello_world() {
    // Alone: the names are the article's.
    let cluster = Cluster::alone("article").await;
    cluster.write(
        "hello.js",
        "module.exports = async function(context) {\n  return { status: 200, body: \"Hello, world!\\n\" };\n}\n",
    );
    let account = format!("{}-user", cluster.prefix);
    cluster.kubectl(&["create", "serviceaccount", &account, "-n", PLATFORM]);
    let binding = format!("--serviceaccount={PLATFORM}:{account}");
    cluster.kubectl(&["create", "clusterrolebinding", &account, "--clusterrole=admin", &binding]);
    let token = cluster.kubectl_ok(&["create", "token", &account, "-n", PLATFORM]);
    let output = cluster.article(
        "set -e
        fission env create --name nodejs --image fission/node-env
        fission function create --name hello --env nodejs --code hello.js
        fission route create --method GET --url /hello --function hello
        curl --silent --show-error --fail --retry 60 --retry-all-errors --retry-delay 1 http://$FISSION_ROUTER/hello",
        token.trim(),
    );
    let printed = said(&output);
    let clean =
        "fission route delete --function hello; fission function delete --name hello; fission env delete --name nodejs";
    cluster.article(clean, token.trim());
    cluster.kubectl(&["delete", "packages", "-n", "default", "--all", "--wait=false"]);
    cluster.kubectl(&["delete", "clusterrolebinding", &account]);
    cluster.kubectl(&["delete", "serviceaccount", &account, "-n", PLATFORM]);
    assert!(output.status.success(), "{printed}\n{}", cluster.state());
    assert!(printed.contains("environment 'nodejs' created"), "{printed}");
    assert!(printed.contains("function 'hello' created"), "{printed}");
    assert!(printed.ends_with("Hello, world!\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_token_is_told_how_to_get_one() {
    let cluster = Cluster::shared("notoken").await;
    let output = cluster.article("fission function list", "");
    let printed = said(&output);
    assert!(!output.status.success() && printed.contains("kubectl create token"), "{printed}");
}
