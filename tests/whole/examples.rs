//! What `examples/README.md` tells a newcomer to type, typed: every command of its table, in its order, as it stands.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use crate::world::{PATIENCE, Platform};

/// What the call of each example must have in its answer. Every example of the page is here, and nothing else is.
const ANSWERS: [(&str, &str); 40] = [
    ("nodejs/hello.js", "Hello, world!"),
    ("nodejs/echo.js", "\"a\":1"),
    ("nodejs/stream.mjs", "data: tick"),
    ("nodejs/websocket.js", ""),
    ("nodejs/markdown", "<h1>"),
    ("python/hello.py", "Hello, world!"),
    ("python/guestbook.py", "Hello, Ada!"),
    ("python/websocket.py", ""),
    ("python/qrcode", "svg"),
    ("go/hello.go", "Hello, world!"),
    ("go/greetings", "Bonjour, Ada!"),
    ("go/sizes", "83 MB"),
    ("php/hello.php", "Hello, world!"),
    ("php/guestbook.php", "Hello, Ada!"),
    ("php/page.php", "<p>Hello, Ada!</p>"),
    ("php/invoice", "1,234.56 EUR"),
    ("python-fastapi/hello.py", "Hello, world!"),
    ("python-fastapi/orders.py", "\"accepted\""),
    ("python-fastapi/signup", "Ada"),
    ("dotnet/hello.cs", "Hello, world!"),
    ("dotnet/addition.cs", "42"),
    ("dotnet/prices", "\"gross\":119"),
    ("ruby/hello.rb", "Hello, world!"),
    ("ruby/guestbook.rb", "Ada"),
    ("ruby/invoice", "1,234.56 EUR"),
    ("perl/hello.pl", "Hello, world!"),
    ("perl/guestbook.pl", "Hello, Ada!"),
    ("perl/invoice", "1,234.56 EUR"),
    ("jvm/Hello.java", "Hello, world!"),
    ("jvm/Guestbook.java", "Hello, Ada!"),
    ("jvm/markdown", "<h1>"),
    ("rust/hello.rs", "Hello, world!"),
    ("rust/invoice", "1,234.56 EUR"),
    ("binary/hello.sh", "Hello, world!"),
    ("binary/upper.sh", "LOUDER"),
    ("binary/prices", "pen: 1.20"),
    ("wasm/hello.wasm", "Hello, world!"),
    ("wasm/hello", "Hello, world!"),
    ("wasm/hello.js", "Hello, Ada!"),
    ("wasm/python", "Hello, world!"),
];

/// The client of WebSockets the page suggests is not everywhere; what answers it is tested in `websocket`.
const NOT_TYPED: &str = "websocat";

/// Components that bring the runtime of their language. An unoptimized platform compiles them for minutes.
const LARGE: [&str; 2] = ["wasm/hello.js", "wasm/python"];

/// One example of the page.
struct Example {
    name: String,
    commands: Vec<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The rows of the table, and the block at the end for the row that points to it.
fn examples() -> Vec<Example> {
    let page = std::fs::read_to_string(repository().join("examples/README.md")).unwrap();
    let block: Vec<String> =
        page.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| line.trim().to_owned()).collect();
    page.lines()
        .filter(|line| line.starts_with("| ["))
        .map(|line| {
            let name = line.trim_start_matches("| [").split(']').next().unwrap().to_owned();
            let spans: Vec<String> = line.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Example { name, commands: if spans.is_empty() { block.clone() } else { spans } }
        })
        .collect()
}

/// Types a command in a shell, as the page's reader does.
fn shell(platform: &Platform, command: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_fission")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), crate::world::required("PATH", "where programs are"));
    let mut shell = Command::new("sh");
    platform.prepare(&mut shell).args(["-c", command]).current_dir(repository()).env("PATH", path);
    shell.output().unwrap()
}

/// The answer of a call; the route was created a moment ago.
fn call(platform: &Platform, command: &str) -> String {
    let command = command.replacen("curl ", "curl -sS --fail-with-body --max-time 290 ", 1);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = shell(platform, &command);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() || !said.contains("no_route") || Instant::now() > deadline {
            assert!(output.status.success(), "{command}: {said} {}", String::from_utf8_lossy(&output.stderr));
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_of_examples_does_what_it_says() {
    let platform = Platform::start();
    let examples = examples();
    let mut told: Vec<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    let mut known: Vec<&str> = ANSWERS.iter().map(|(name, _)| *name).collect();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known, "the page and the answers expected here differ");
    for example in &examples {
        let expected = ANSWERS.iter().find(|(name, _)| *name == example.name).unwrap().1;
        if cfg!(debug_assertions) && LARGE.contains(&example.name.as_str()) {
            // Past the capture of test output: nobody should take this for a pass.
            let _ = writeln!(std::io::stderr(), "SKIPPED {}: this platform is not optimized", example.name);
            continue;
        }
        let mut answered = false;
        for command in &example.commands {
            if command.starts_with(NOT_TYPED) {
                answered = true;
            } else if command.starts_with("curl") {
                let answer = call(&platform, command);
                assert!(answer.contains(expected), "{}: {answer}", example.name);
                answered = true;
            } else {
                let output = shell(&platform, command);
                assert!(
                    output.status.success(),
                    "{}: {command}: {}\n{}",
                    example.name,
                    String::from_utf8_lossy(&output.stderr),
                    platform.own_log()
                );
            }
        }
        assert!(answered, "{} is not called", example.name);
    }
}
