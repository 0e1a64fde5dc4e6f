//! Names no crate, module or file may have.

use super::Offence;
use super::scan::words;
use super::source::{SourceFile, Tree};

const BANNED: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "base", "core", "types", "manager"];
/// Endings of code, whose files are modules of some kind.
const CODE: &[&str] = &["rs", "js", "mjs", "cjs", "py"];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let packages = tree.packages.iter().flat_map(|package| {
        let parts = package.name.split('-').filter(|part| BANNED.contains(part));
        parts.map(|part| Offence::new(&package.manifest, format!("a crate called {part}")))
    });
    packages.chain(tree.files.iter().flat_map(of_file)).collect()
}

fn of_file(file: &SourceFile) -> Vec<Offence> {
    let Some((stem, ending)) = file.path.rsplit_once('.') else { return Vec::new() };
    if !CODE.contains(&ending) {
        return Vec::new();
    }
    let parts = stem.split('/').filter(|part| BANNED.contains(part));
    let mut offences: Vec<Offence> =
        parts.map(|part| Offence::new(&file.path, format!("a file or folder called {part}"))).collect();
    for at in words(&file.code, "mod") {
        let name = file.code[at + 3..].trim_start();
        let name = &name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())];
        if BANNED.contains(&name) {
            offences.push(Offence::new(file.place(at), format!("a module called {name}")));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_found() {
        let files =
            [("crates/x/src/utils/a.rs", ""), ("crates/x/src/b.rs", "mod helpers {}\n"), ("README.md", "mod util")];
        let expected = [
            Offence::new("crates/x/src/utils/a.rs", "a file or folder called utils"),
            Offence::new("crates/x/src/b.rs:1", "a module called helpers"),
        ];
        assert_eq!(run(&Tree::of(&files)), expected);
    }

    #[test]
    fn names_that_only_contain_them_are_fine() {
        assert_eq!(run(&Tree::of(&[("crates/x/src/core_kinds.rs", "mod typeset;\n")])), []);
    }
}
