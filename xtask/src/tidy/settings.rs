//! Where the process's environment may be read.

use super::Offence;
use super::scan::words;
use super::source::{SourceFile, Tree};

/// The binary's settings, the command line, and the servers inside an instance: variables are how instances are told
/// what to do, by the published contract of environments.
const HOMES: &[&str] = &[
    "crates/fission/src/config",
    "crates/cli/",
    "crates/environments/src/serving.rs",
    "environments/rust/sdk/src/container.rs",
];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let files = tree.platform_rust().filter(|file| !HOMES.iter().any(|home| file.path.starts_with(home)));
    files.flat_map(of_file).collect()
}

fn of_file(file: &SourceFile) -> Vec<Offence> {
    let read = file.code.match_indices("env::var").map(|(at, _)| (at, "an environment variable is read"));
    let flags = file.code.match_indices("#[arg(").filter(|(at, _)| {
        let attribute = &file.code[*at..];
        let attribute = &attribute[..attribute.find(")]").unwrap_or(attribute.len())];
        words(attribute, "env").next().is_some()
    });
    let found = read.chain(flags.map(|(at, _)| (at, "a flag falls back on an environment variable")));
    found
        .filter(|(at, _)| !file.is_test_line(file.line_at(*at)))
        .map(|(at, what)| Offence::new(file.place(at), what))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_the_environment_elsewhere_is_found() {
        let text = "let a = std::env::var(\"A\");\n#[arg(long, env = \"B\")]\nb: u8,\n#[arg(long)]\nenv: u8,\n#[cfg(test)]\nmod tests { fn a() { std::env::var(\"C\"); } }\n";
        let found = run(&Tree::of(&[("crates/router/src/a.rs", text)]));
        let expected = [
            Offence::new("crates/router/src/a.rs:1", "an environment variable is read"),
            Offence::new("crates/router/src/a.rs:2", "a flag falls back on an environment variable"),
        ];
        assert_eq!(found, expected);
        assert_eq!(run(&Tree::of(&[("crates/fission/src/config.rs", text), ("crates/cli/src/a.rs", text)])), []);
    }
}
