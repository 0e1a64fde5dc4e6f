//! Where SQL may stand.

use super::Offence;
use super::scan::words;
use super::source::Tree;

const HOMES: &[&str] = &["crates/apiserver/src/storage", "crates/logs/src/store"];
/// How statements begin. Split, so that this file does not find itself.
const STATEMENTS: &[&str] = &[
    concat!("CREATE ", "TABLE"),
    concat!("INSERT ", "INTO"),
    concat!("DELETE ", "FROM"),
    concat!("SELECT ", "* FROM"),
];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust() && !HOMES.iter().any(|home| file.path.starts_with(home)))
    {
        let used = words(&file.code, "rusqlite").map(|at| (at, "rusqlite is used here"));
        let written = STATEMENTS.iter().flat_map(|statement| file.text.match_indices(statement));
        let written = written.map(|(at, _)| (at, "an SQL statement"));
        let found = used.chain(written).filter(|(at, _)| !file.is_test_line(file.line_at(*at)));
        offences.extend(found.map(|(at, what)| Offence::new(file.place(at), what)));
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_outside_the_stores_is_found() {
        let text = format!("use rusqlite::Connection;\nlet a = \"{} x\";\n", STATEMENTS[1]);
        let found = run(&Tree::of(&[("crates/router/src/a.rs", &text)]));
        assert_eq!(found[0], Offence::new("crates/router/src/a.rs:1", "rusqlite is used here"));
        assert_eq!(found[1], Offence::new("crates/router/src/a.rs:2", "an SQL statement"));
        assert_eq!(run(&Tree::of(&[("crates/logs/src/store/a.rs", &text)])), []);
    }
}
