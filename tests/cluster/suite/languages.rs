//! Every language from its own image, as `cargo xtask image` makes it: what it lacks shows only where it runs.

use std::path::Path;

use crate::world::Cluster;

/// Image and example: the smallest function of each language.
const HELLOS: [(&str, &str); 11] = [
    ("node-env", "nodejs/hello.js"),
    ("python-env", "python/hello.py"),
    ("python-fastapi-env", "python-fastapi/hello.py"),
    ("go-env", "go/hello.go"),
    ("php-env", "php/hello.php"),
    ("dotnet-env", "dotnet/hello.cs"),
    ("ruby-env", "ruby/hello.rb"),
    ("perl-env", "perl/hello.pl"),
    ("jvm-env", "jvm/Hello.java"),
    ("rust-env", "rust/hello.rs"),
    ("binary-env", "binary/hello.sh"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_function_of_every_language_answers() {
    let cluster = Cluster::shared("languages").await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (image, example) in HELLOS {
        let env = cluster.environment(&format!("fission/{image}"), 1);
        let code = std::fs::read_to_string(examples.join(example)).unwrap_or_else(|error| panic!("{example}: {error}"));
        let file = example.rsplit('/').next().unwrap_or(example);
        let flags: &[&str] = if image == "jvm-env" { &["--entrypoint", "Hello"] } else { &[] };
        let name = cluster.function(image, &env, file, &code, flags);
        cluster.answers(&format!("/{name}"), "Hello, world!").await;
        // The node is small: one language at a time.
        cluster.fission_ok(&["function", "delete", "--name", &name]);
        cluster.fission_ok(&["env", "delete", "--name", &env]);
    }
}
