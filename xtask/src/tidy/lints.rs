//! Every package takes the workspace's lints.

use super::Offence;
use super::source::Tree;

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let manifests =
        tree.files.iter().filter(|file| file.path.ends_with("Cargo.toml") && file.text.contains("[package]"));
    let loose = manifests.filter(|file| {
        let lints = file.text.split("[lints]").nth(1).unwrap_or_default();
        let lints = lints.split("\n[").next().unwrap_or_default();
        !lints.lines().any(|line| line.replace(' ', "") == "workspace=true")
    });
    loose.map(|file| Offence::new(&file.path, "has no [lints] workspace = true")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_the_lints_is_found() {
        let good = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n[dependencies]\n";
        let bad = "[package]\nname = \"b\"\nversion.workspace = true\n";
        let found = run(&Tree::of(&[("a/Cargo.toml", good), ("b/Cargo.toml", bad), ("Cargo.toml", "[workspace]\n")]));
        assert_eq!(found, [Offence::new("b/Cargo.toml", "has no [lints] workspace = true")]);
    }
}
