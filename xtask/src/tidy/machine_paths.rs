//! Paths of one person's machine.

use super::Offence;
use super::source::Tree;

/// Beginnings of such paths. Split, so that this file does not find itself.
const PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "tgt")];

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in &tree.files {
        for path in PATHS {
            let starts = |at: &usize| {
                at.checked_sub(1).is_none_or(|before| !file.text.as_bytes()[before].is_ascii_alphanumeric())
            };
            let found = file.text.match_indices(path).map(|(at, _)| at).filter(starts);
            offences.extend(found.map(|at| Offence::new(file.place(at), format!("{path} is a path of one machine"))));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found_and_a_path_within_another_is_not() {
        let text = format!("see {}x\nsee a{}x\n", PATHS[0], PATHS[0]);
        let found = run(&Tree::of(&[("README.md", &text)]));
        assert_eq!(found, [Offence::new("README.md:1", format!("{} is a path of one machine", PATHS[0]))]);
    }
}
