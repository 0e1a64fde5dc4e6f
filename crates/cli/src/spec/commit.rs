//! `--commitlabel`: which commit the files of a spec directory are at.

use std::path::Path;
use std::process::Command;

use crate::failure::Outcome;
use crate::output::Format;
use crate::session::Session;

/// Characters of a commit id that are kept.
const SHORT: usize = 7;

/// The value of the `commit` label; none, with a warning, when the directory is not in a git tree.
pub(super) fn label(dir: &Path, s: &mut Session) -> Outcome<Option<String>> {
    let Some(status) = git(dir, &["status", "--porcelain", "--", "."]) else {
        s.warn(Format::Text, format_args!("--commitlabel: {} is not in a git working tree", dir.display()))?;
        return Ok(None);
    };
    let head = git(dir, &["rev-parse", "HEAD"]).map(|head| head.trim().chars().take(SHORT).collect::<String>());
    let label = of_status(head.as_deref(), &status);
    if !status.trim().is_empty() {
        s.warn(
            Format::Text,
            format_args!("--commitlabel: files have changes that are not committed; using '{label}'"),
        )?;
    }
    Ok(Some(label))
}

fn of_status(head: Option<&str>, status: &str) -> String {
    let codes = || status.lines().filter_map(|line| Some((line.chars().next()?, line.chars().nth(1)?)));
    let staged = codes().any(|(index, _)| !matches!(index, ' ' | '?'));
    let unstaged = codes().any(|(_, tree)| !matches!(tree, ' ' | '?'));
    let untracked = codes().any(|(index, _)| index == '?');
    match head {
        Some(head) if unstaged || untracked => format!("{head}-unstaged"),
        Some(head) if staged => format!("{head}-staged"),
        Some(head) => head.to_owned(),
        None if staged => "staged".to_owned(),
        None => "untracked".to_owned(),
    }
}

fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_tells_what_is_not_committed() {
        assert_eq!(of_status(Some("abc1234"), ""), "abc1234");
        assert_eq!(of_status(Some("abc1234"), "M  specs/a.yaml\n"), "abc1234-staged");
        assert_eq!(of_status(Some("abc1234"), "MM specs/a.yaml\n"), "abc1234-unstaged");
        assert_eq!(of_status(None, "A  specs/a.yaml\n"), "staged");
        assert_eq!(of_status(None, "?? specs/\n"), "untracked");
    }
}
