//! Every Rust file opens with `//!`.

use super::Offence;
use super::source::Tree;

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let files = tree.files.iter().filter(|file| file.is_rust());
    let silent = files
        .filter(|file| !file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().starts_with("//!"));
    silent.map(|file| Offence::new(format!("{}:1", file.path), "does not open with //! and what it is")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_found() {
        let found = run(&Tree::of(&[("a.rs", "use b;\n"), ("b.rs", "//! Good.\n"), ("c.md", "text")]));
        assert_eq!(found, [Offence::new("a.rs:1", "does not open with //! and what it is")]);
    }
}
