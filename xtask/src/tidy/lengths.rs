//! How long files and functions may be. Tests may be longer: they are read one by one.

use super::Offence;
use super::scan::functions;
use super::source::{SourceFile, Tree};

/// Most lines of a file, without its tests.
const FILE: usize = 500;
/// Most lines of a function, from `fn` to its closing brace.
const FUNCTION: usize = 70;

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    tree.files.iter().filter(|file| file.is_rust()).flat_map(of_file).collect()
}

fn of_file(file: &SourceFile) -> Vec<Offence> {
    let mut offences = Vec::new();
    let lines = file.production_lines();
    if lines > FILE {
        offences.push(Offence::new(&file.path, format!("{lines} lines, more than {FILE}")));
    }
    for (name, at, end) in functions(&file.code) {
        let (first, last) = (file.line_at(at), file.line_at(end));
        let lines = last - first + 1;
        if lines > FUNCTION && !file.is_test_line(first) {
            offences.push(Offence::new(file.place(at), format!("fn {name} has {lines} lines, more than {FUNCTION}")));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_functions_and_files_are_found() {
        let long = format!("fn a() {{\n{}}}\n", "    b();\n".repeat(FUNCTION));
        let found = run(&Tree::of(&[("crates/x/src/a.rs", &long)]));
        assert_eq!(found, [Offence::new("crates/x/src/a.rs:1", "fn a has 72 lines, more than 70")]);
        let found = run(&Tree::of(&[("crates/x/src/a.rs", &"const A: u8 = 1;\n".repeat(FILE + 1))]));
        assert_eq!(found, [Offence::new("crates/x/src/a.rs", "501 lines, more than 500")]);
    }

    #[test]
    fn tests_may_be_long_and_braces_in_text_do_not_count() {
        let body = "    let a = \"}\"; // }\n".repeat(60);
        let text = format!("fn a() {{\n{body}}}\n#[cfg(test)]\nmod tests {{\nfn b() {{\n{body}{body}}}\n}}\n");
        assert_eq!(run(&Tree::of(&[("crates/x/src/a.rs", &text)])), []);
    }
}
