//! Every package of the workspace takes its lints; an example is a workspace of its own.

use super::Offence;
use super::source::Tree;

pub(super) fn run(tree: &Tree) -> Vec<Offence> {
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("Cargo.toml") && is_ours(&file.text));
    let loose = manifests.filter(|file| {
        let lints = file.text.split("[lints]").nth(1).unwrap_or_default();
        let lints = lints.split("\n[").next().unwrap_or_default();
        !lints.lines().any(|line| line.replace(' ', "") == "workspace=true")
    });
    loose.map(|file| Offence::new(&file.path, "has no [lints] workspace = true")).collect()
}

fn is_ours(manifest: &str) -> bool {
    manifest.contains("[package]") && !manifest.lines().any(|line| line == "[workspace]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_the_lints_is_found() {
        let good = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n[dependencies]\n";
        let bad = "[package]\nname = \"b\"\nversion.workspace = true\n";
        let example = "[package]\nname = \"c\"\n[workspace]\n";
        let tree = [("a/Cargo.toml", good), ("b/Cargo.toml", bad), ("c/Cargo.toml", example)];
        let found = run(&Tree::of(&[&tree[..], &[("Cargo.toml", "[workspace]\n")]].concat()));
        assert_eq!(found, [Offence::new("b/Cargo.toml", "has no [lints] workspace = true")]);
    }
}
