//! Which entry of an archive may become which file.

use std::path::{Component, PathBuf};

use super::{ArchiveError, UnpackLimits};

/// Bytes of one path component Linux file systems take.
const COMPONENT_BYTES: usize = 255;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_SYMLINK: u32 = 0o120_000;

/// What an entry becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// The path below the target folder an entry's name stands for, made of plain components only.
pub(super) fn safe_path(name: &str, limits: &UnpackLimits) -> Result<PathBuf, ArchiveError> {
    let refuse = |why| Err(ArchiveError::Unsafe { entry: shown(name), why });
    if name.len() > limits.path_bytes {
        let what = format!("the path {:?} has {} bytes", shown(name), name.len());
        return Err(ArchiveError::OverLimit { what, limit: "path_bytes", value: limits.path_bytes as u64 });
    }
    if name.contains('\0') {
        return refuse("its name contains a NUL byte");
    }
    if name.contains('\\') {
        return refuse("its name contains a backslash; zip names are separated by /");
    }
    if name.starts_with('/') {
        return refuse("its name is absolute");
    }
    if name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic() {
        return refuse("its name starts with a drive letter");
    }
    let mut path = PathBuf::new();
    for part in name.strip_suffix('/').unwrap_or(name).split('/') {
        match part {
            "" => return refuse("its name has an empty part"),
            // Some archivers write every name as `./name`.
            "." => continue,
            ".." => return refuse("its name leaves the folder with .."),
            part if part.len() > COMPONENT_BYTES => return refuse("a part of its name is longer than 255 bytes"),
            part => path.push(part),
        }
    }
    if path.as_os_str().is_empty() && !name.ends_with('/') {
        return refuse("its name is empty");
    }
    debug_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
    let depth = path.components().count();
    if depth > limits.depth {
        let what = format!("the path {:?} is {depth} deep", shown(name));
        return Err(ArchiveError::OverLimit { what, limit: "depth", value: limits.depth as u64 });
    }
    Ok(path)
}

/// What an entry becomes, going by its name and the file type in its mode. Links and devices are refused.
pub(super) fn kind(name: &str, mode: Option<u32>) -> Result<Kind, ArchiveError> {
    let refuse = |why| Err(ArchiveError::Unsafe { entry: shown(name), why });
    match mode.unwrap_or_default() & TYPE_MASK {
        0 | TYPE_FILE if name.ends_with('/') => Ok(Kind::Directory),
        0 | TYPE_FILE => Ok(Kind::File),
        TYPE_DIRECTORY => Ok(Kind::Directory),
        TYPE_SYMLINK => refuse("it is a symbolic link"),
        _ => refuse("it is a device, pipe or socket"),
    }
}

/// A name short enough for a message.
pub(super) fn shown(name: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    name.chars().take(SHOWN_CHARS).collect()
}
