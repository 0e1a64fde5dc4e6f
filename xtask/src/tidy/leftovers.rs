//! Notes to oneself, unwritten code, and tests that are not run.

use super::Offence;
use super::scan::words;
use super::source::{SourceFile, Tree};

/// Words of notes. Split, so that this file does not find itself.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Macros and attributes of what is not there.
const UNWRITTEN: &[&str] = &["todo!", "unimplemented!", "#[ignore"];
/// Endings of files that are looked into.
const CODE: &[&str] = &["rs", "js", "mjs", "cjs", "py", "sh", "toml", "yaml"];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let code = |file: &&SourceFile| file.path.rsplit_once('.').is_some_and(|(_, ending)| CODE.contains(&ending));
    tree.files.iter().filter(code).flat_map(of_file).collect()
}

fn of_file(file: &SourceFile) -> Vec<Offence> {
    let notes = NOTES.iter().flat_map(|note| words(&file.text, note).map(move |at| (at, *note)));
    let unwritten = UNWRITTEN.iter().flat_map(|mark| file.code.match_indices(mark).map(move |(at, _)| (at, *mark)));
    notes.chain(unwritten).map(|(at, what)| Offence::new(file.place(at), what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_unwritten_code_are_found() {
        let text = format!("// {}: later\nfn a() {{ todo!() }}\n#[ignore]\nlet b = \"todo!\";\n", NOTES[0]);
        let found = run(&Tree::of(&[("a.rs", &text)]));
        assert_eq!(
            found,
            [Offence::new("a.rs:1", NOTES[0]), Offence::new("a.rs:2", "todo!"), Offence::new("a.rs:3", "#[ignore")]
        );
    }
}
