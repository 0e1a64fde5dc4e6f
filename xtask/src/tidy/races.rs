//! Whether the tests that a page names are there.

use super::Offence;
use super::source::Tree;

/// The page that says which test keeps which race out.
const PAGE: &str = "crates/kubernetes/RACES.md";
/// Shorter names in backticks are of code, not of tests.
const TEST_NAME_BYTES: usize = 25;

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let Some(page) = tree.files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let exists = |name: &str| {
        let declared = format!("fn {name}(");
        tree.files.iter().any(|file| file.is_rust() && file.text.contains(&declared))
    };
    let named = page.text.lines().enumerate().flat_map(|(line, text)| {
        let names = text.split('`').skip(1).step_by(2);
        names.filter(|name| is_test_name(name)).map(move |name| (line + 1, name))
    });
    let missing = named.filter(|(_, name)| !exists(name));
    missing.map(|(line, name)| Offence::new(format!("{PAGE}:{line}"), format!("there is no test {name}"))).collect()
}

fn is_test_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() >= TEST_NAME_BYTES && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_was_renamed_is_missed() {
        let page =
            "| a race | `a_test_that_is_still_here_and_runs`, `a_test_that_was_here_once_upon_a_time` and `short` |\n";
        let test = "#[test]\nfn a_test_that_is_still_here_and_runs() {}\n";
        let found = run(&Tree::of(&[(PAGE, page), ("crates/router/src/a.rs", test)]));
        let missing = "there is no test a_test_that_was_here_once_upon_a_time";
        assert_eq!(found, [Offence::new(format!("{PAGE}:1"), missing)]);
    }
}
