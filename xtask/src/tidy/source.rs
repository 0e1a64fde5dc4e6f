//! The tree as the checks see it: files, which of their lines are tests, and packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::scan::{body_of, close_of, code_of};

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", ".git", ".venv"];
/// Endings of files that are text and ours.
const READ: &[&str] =
    &["rs", "toml", "md", "yaml", "yml", "json", "js", "mjs", "cjs", "py", "sh", "lua", "conf", "run"];
/// Files without an ending that are read too.
const READ_NAMES: &[&str] = &["Makefile", "Dockerfile", "run"];

/// One file.
pub(super) struct SourceFile {
    /// Path from the root, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// For Rust: the text without comments and literals; empty otherwise.
    pub(super) code: String,
    /// For Rust: of each line, whether it belongs to tests.
    test_lines: Vec<bool>,
}

/// One package of the workspace.
pub(super) struct Package {
    pub(super) name: String,
    /// Its manifest's path from the root.
    pub(super) manifest: String,
    /// Packages of the workspace it depends on, and whether only its tests do.
    pub(super) uses: Vec<(String, bool)>,
}

/// Everything the checks look at.
pub(super) struct Tree {
    pub(super) files: Vec<SourceFile>,
    pub(super) packages: Vec<Package>,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_of(text) } else { String::new() };
        let test_lines = test_lines(path, &code);
        Self { path: path.to_owned(), text: text.to_owned(), code, test_lines }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the line, counted from 0, belongs to tests.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.test_lines.get(line).copied().unwrap_or(false)
    }

    /// The line, counted from 0, that holds this offset of the text or the code.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count()
    }

    /// `path:line` of an offset, as people count lines.
    pub(super) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.line_at(offset) + 1)
    }

    /// Lines that are no tests.
    pub(super) fn production_lines(&self) -> usize {
        self.test_lines.iter().filter(|test| !**test).count()
    }
}

fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let folders = ["tests/", "examples/"];
    let folder = folders.iter().any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")));
    let whole = folder || path.ends_with("tests.rs") || path.ends_with("/cases.rs");
    let mut lines = vec![whole; code.lines().count()];
    let line_of = |offset: usize| code.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
    for (at, mark) in code.match_indices("#[cfg(test)]") {
        let behind = at + mark.len();
        let end = match body_of(code, behind) {
            Some(open) => close_of(code, open),
            None => code[behind..].find(';').map_or(code.len(), |offset| behind + offset + 1),
        };
        let last = line_of(end.saturating_sub(1));
        for line in lines.iter_mut().take(last + 1).skip(line_of(at)) {
            *line = true;
        }
    }
    lines
}

impl Tree {
    /// Reads the tree below `root` and asks cargo for the packages.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(Self { files, packages: packages(root)? })
    }

    /// Rust files that are not part of our own tools.
    pub(super) fn platform_rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.is_rust() && !file.path.starts_with("xtask/"))
    }

    /// A tree of these files and no packages.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| SourceFile::new(path, text)).collect(), packages: Vec::new() }
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(root, &path, files)?;
            }
            continue;
        }
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if !READ.contains(&ending) && !READ_NAMES.contains(&name.as_str()) {
            continue;
        }
        // A file that is no text, such as a fixture of broken bytes, breaks no rule of text.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        files.push(SourceFile::new(&below, &text));
    }
    Ok(())
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let answer = Command::new(cargo).args(asked).current_dir(root).output().context("cannot run cargo metadata")?;
    if !answer.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&answer.stdout).context("cargo metadata wrote no JSON")?;
    Ok(read_packages(&metadata, &root.to_string_lossy()))
}

/// The packages in the answer of `cargo metadata`.
pub(super) fn read_packages(metadata: &Value, root: &str) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            manifest: text(&package["manifest_path"]).trim_start_matches(root).trim_start_matches('/').to_owned(),
            uses: list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["path"].is_string())
                .map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev"))
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_are_known() {
        let text =
            "fn a() {}\n#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\nfn b() {}\n#[cfg(test)]\nmod more {\n}\n";
        let file = SourceFile::new("crates/x/src/a.rs", text);
        let tests: Vec<bool> = (0..8).map(|line| file.is_test_line(line)).collect();
        assert_eq!(tests, [false, true, true, true, false, true, true, true]);
        assert_eq!(file.production_lines(), 2);
    }

    #[test]
    fn files_of_tests_are_tests_throughout() {
        for path in ["crates/x/src/a_tests.rs", "crates/x/tests/a.rs", "tests/run/main.rs"] {
            assert_eq!(SourceFile::new(path, "fn a() {}\n").production_lines(), 0, "{path}");
        }
    }
}
