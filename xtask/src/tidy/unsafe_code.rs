//! Where `unsafe` may stand.

use super::Offence;
use super::scan::words;
use super::source::Tree;

const HOME: &str = "crates/sandbox/";

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let files = tree.files.iter().filter(|file| file.is_rust() && !file.path.starts_with(HOME));
    files.flat_map(|file| words(&file.code, "unsafe").map(|at| Offence::new(file.place(at), "unsafe code"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_found_and_talk_of_it_is_not() {
        let bad = Tree::of(&[("crates/router/src/a.rs", "// unsafe\nlet a = \"unsafe\";\nunsafe { b() }\n")]);
        assert_eq!(run(&bad), [Offence::new("crates/router/src/a.rs:3", "unsafe code")]);
        assert_eq!(run(&Tree::of(&[("crates/sandbox/src/a.rs", "unsafe { b() }")])), []);
    }
}
