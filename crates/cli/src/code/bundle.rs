//! Files and folders into one zip, always the same bytes for the same content.
//!
//! Names inside: a pattern's files keep their path below the part of the pattern without wildcards (`src/**/*.js` gives
//! `lib/x.js` for `src/lib/x.js`). A folder that is the only input gives its content; beside others it keeps its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::failure::{Doing, Failure, Outcome};

/// Most files in one archive; instances refuse more, so the CLI does first.
pub(crate) const MAX_FILES: usize = 20_000;

/// Files by their name in the archive.
pub(crate) type Files = BTreeMap<String, PathBuf>;

/// Finds the files the inputs mean, relative ones below `root`. Each input must find something.
pub(crate) fn collect(root: &Path, inputs: &[String], exclude: &[String]) -> Outcome<Files> {
    let excluded = glob_set(exclude)?;
    let mut files = Files::new();
    for input in inputs {
        let before = files.len();
        let (base, pattern) = split_pattern(root, input);
        match pattern {
            None if base.is_file() => {
                let name = base.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let path = base.strip_prefix(root).unwrap_or(&base);
                if !(excluded.is_match(&name) || excluded.is_match(path)) {
                    add(&mut files, name, base.clone())?;
                }
            }
            None if base.is_dir() => {
                let inside = match base.file_name() {
                    Some(name) if inputs.len() > 1 => format!("{}/", name.to_string_lossy()),
                    _ => String::new(),
                };
                walk(&base, None, &excluded, &inside, root, &mut files)?;
            }
            None => return Err(Failure::new(format_args!("{} does not exist", base.display()))),
            Some(pattern) => walk(&base, Some(&pattern), &excluded, "", root, &mut files)?,
        }
        if files.len() == before {
            return Err(Failure::new(format_args!("{input:?} matches no file below {}", root.display())));
        }
    }
    Ok(files)
}

/// The part without wildcards, and the pattern of what is below it.
pub(crate) fn split_pattern(root: &Path, input: &str) -> (PathBuf, Option<String>) {
    let whole = root.join(input);
    if whole.exists() || !input.contains(['*', '?', '[', '{']) {
        return (whole, None);
    }
    let plain = input.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
    let plain: Vec<&str> = plain.collect();
    let depth = plain.len();
    let base = if input.starts_with('/') { format!("/{}", plain.join("/")) } else { plain.join("/") };
    let pattern = input.split('/').skip(depth).collect::<Vec<_>>().join("/");
    (root.join(base), Some(pattern))
}

fn walk(
    base: &Path,
    pattern: Option<&str>,
    excluded: &GlobSet,
    inside: &str,
    root: &Path,
    files: &mut Files,
) -> Outcome {
    if !base.exists() {
        return Ok(());
    }
    let matcher = pattern.map(|pattern| glob_set(std::slice::from_ref(&pattern.to_owned()))).transpose()?;
    let walker = WalkBuilder::new(base).standard_filters(false).follow_links(true).sort_by_file_name(Ord::cmp).build();
    for entry in walker {
        let entry = entry.doing(format_args!("cannot read {}", base.display()))?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let below = entry.path().strip_prefix(base).unwrap_or(entry.path());
        let from_root = entry.path().strip_prefix(root).unwrap_or(below);
        // A pattern that matches a folder means everything in it.
        let wanted = matcher.as_ref().is_none_or(|set| below.ancestors().any(|part| set.is_match(part)));
        let refused = [below, from_root].iter().any(|path| path.ancestors().any(|part| excluded.is_match(part)));
        if wanted && !refused {
            let name = below
                .to_str()
                .ok_or_else(|| Failure::new(format_args!("the name of {} is not UTF-8", entry.path().display())))?;
            add(files, format!("{inside}{name}"), entry.path().to_owned())?;
        }
    }
    Ok(())
}

fn add(files: &mut Files, name: String, path: PathBuf) -> Outcome {
    if files.len() >= MAX_FILES {
        return Err(Failure::new(format_args!("more than {MAX_FILES} files for one archive"))
            .hint("leave out what the function does not need, or bundle it"));
    }
    match files.insert(name.clone(), path.clone()) {
        Some(other) if other != path => Err(Failure::new(format_args!(
            "{} and {} would both be called {name:?} in the archive",
            other.display(),
            path.display()
        ))
        .hint("give the folder that holds both, so that their paths are kept")),
        _ => Ok(()),
    }
}

/// `*` stays within a folder; `**` crosses folders.
pub(crate) fn glob_set(patterns: &[String]) -> Outcome<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
        let glob: Glob = glob.doing(format_args!("{pattern:?} is not a pattern"))?;
        set.add(glob);
    }
    set.build().doing("cannot use these patterns together")
}

/// Writes the zip. Times are fixed and only whether a file is executable is kept of its mode, so that the same content
/// makes the same bytes and the same checksum on every machine.
pub(crate) fn write_zip<W: Write + Seek>(files: &Files, out: W) -> Outcome<W> {
    let mut zip = ZipWriter::new(out);
    for (name, path) in files {
        let mut file = File::open(path).doing(format_args!("cannot read {}", path.display()))?;
        let meta = file.metadata().doing(format_args!("cannot read {}", path.display()))?;
        let mode = if meta.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(mode)
            .large_file(meta.len() > u64::from(u32::MAX));
        zip.start_file(name, options).doing(format_args!("cannot put {name:?} into the archive"))?;
        io::copy(&mut file, &mut zip).doing(format_args!("cannot put {} into the archive", path.display()))?;
    }
    zip.finish().doing("cannot finish the archive")
}

/// Whether a file is a zip, by its first bytes.
pub(crate) fn is_zip(path: &Path) -> Outcome<bool> {
    let mut start = [0; 4];
    let mut file = File::open(path).doing(format_args!("cannot read {}", path.display()))?;
    let read = io::Read::read(&mut file, &mut start).doing(format_args!("cannot read {}", path.display()))?;
    Ok(read == 4 && matches!(&start, b"PK\x03\x04" | b"PK\x05\x06"))
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
