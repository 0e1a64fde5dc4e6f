//! Generated files: `deploy/crds` from the table of kinds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use fission_api::{KINDS, KindInfo};

/// Where the CustomResourceDefinitions are kept, below the root.
const FOLDER: &str = "deploy/crds";
/// First line of every generated file.
const MARK: &str = "# Written by `cargo xtask codegen` from crates/api. Do not edit.\n";

/// Writes every CRD and removes files of kinds that are gone.
pub(crate) fn write(root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let wanted = wanted()?;
    for (name, text) in &wanted {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {FOLDER}/{name}"))?;
    }
    for name in present(&folder)?.into_keys().filter(|name| !wanted.contains_key(name)) {
        fs::remove_file(folder.join(&name)).with_context(|| format!("cannot remove {FOLDER}/{name}"))?;
    }
    Ok(())
}

/// Whether every file is what [`write()`] would write; prints those that are not.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let wanted = wanted()?;
    let present = present(&root.join(FOLDER))?;
    let mut stale: Vec<&String> =
        wanted.iter().filter(|(name, text)| present.get(*name) != Some(text)).map(|(name, _)| name).collect();
    stale.extend(present.keys().filter(|name| !wanted.contains_key(*name)));
    for name in &stale {
        crate::say(&format!("{FOLDER}/{name}: not current; run cargo xtask codegen"));
    }
    Ok(stale.is_empty())
}

fn wanted() -> Result<BTreeMap<String, String>> {
    KINDS.iter().map(|info| Ok((format!("fission.io_{}.yaml", info.plural), yaml(info)?))).collect()
}

fn yaml(info: &KindInfo) -> Result<String> {
    // Through a JSON value: its maps are sorted, so the text is stable.
    let crd = serde_json::to_value((info.crd)()).with_context(|| format!("the CRD of {} is no JSON", info.kind))?;
    let text = serde_saphyr::to_string(&crd).with_context(|| format!("the CRD of {} is no YAML", info.kind))?;
    Ok(format!("{MARK}{text}"))
}

fn present(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let text =
            fs::read_to_string(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crds_in_the_tree_are_those_of_the_types() {
        let root = crate::root().expect("the workspace has a root");
        assert!(check(&root).expect("the CRDs can be read"), "run cargo xtask codegen");
    }

    #[test]
    fn every_crd_is_small_enough_for_client_side_apply() {
        for (name, text) in wanted().expect("every kind has a CRD") {
            assert!(text.len() < 256 * 1024, "{name} has {} bytes", text.len());
        }
    }

    #[test]
    fn a_missing_or_changed_file_is_not_current() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!check(folder.path()).expect("an empty folder can be read"));
        write(folder.path()).expect("the CRDs can be written");
        assert!(check(folder.path()).expect("the CRDs can be read"));
        fs::write(folder.path().join(FOLDER).join("fission.io_gone.yaml"), "x").expect("a file can be written");
        assert!(!check(folder.path()).expect("the CRDs can be read"));
        write(folder.path()).expect("the CRDs can be written again");
        assert!(check(folder.path()).expect("the CRDs can be read"));
    }
}
