//! Where `unsafe` may stand.

use super::Offence;
use super::scan::words;
use super::source::Tree;

/// The sandbox speaks to the kernel; machine code is mapped in one place.
const HOMES: &[&str] = &["crates/sandbox/", "crates/wasm/src/artifacts.rs"];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let files =
        tree.files.iter().filter(|file| file.is_rust() && !HOMES.iter().any(|home| file.path.starts_with(home)));
    files.flat_map(|file| words(&file.code, "unsafe").map(|at| Offence::new(file.place(at), "unsafe code"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_found_and_talk_of_it_is_not() {
        let bad = Tree::of(&[("crates/router/src/a.rs", "// unsafe\nlet a = \"unsafe\";\nunsafe { b() }\n")]);
        assert_eq!(run(&bad), [Offence::new("crates/router/src/a.rs:3", "unsafe code")]);
        for home in ["crates/sandbox/src/a.rs", "crates/wasm/src/artifacts.rs"] {
            assert_eq!(run(&Tree::of(&[(home, "unsafe { b() }")])), []);
        }
        assert_eq!(run(&Tree::of(&[("crates/wasm/src/call.rs", "unsafe { b() }")])).len(), 1);
    }
}
