//! The result of a build as one archive: the same content gives the same bytes.
//!
//! What a build leaves is as hostile as its source. Nothing runs in it any more, every path is opened below the folder
//! by the kernel's own rule, and links are followed only inside it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat2};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::archive::UnpackLimits;

/// Compression: archives stay on this machine, so speed counts for more than size.
const LEVEL: i64 = 1;
/// Notes on what was left out that are told; more would drown the log.
const MAX_NOTES: usize = 20;

/// Why a result could not be packed. The text is for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// It holds more than may be deployed.
    #[error("the build's result is too large to be deployed: {what}, over the limit {limit} = {value}")]
    OverLimit {
        /// What there is too much of.
        what: String,
        /// The field of [`UnpackLimits`] that decided.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// A name in it cannot be stored in an archive.
    #[error("the build's result has the file {name:?}, whose name is not UTF-8")]
    Name {
        /// The name.
        name: PathBuf,
    },
    /// It could not be read, or the archive not written.
    #[error("the build's result could not be packed: {0}")]
    Io(#[from] io::Error),
    /// The archive could not be made.
    #[error("the build's result could not be packed: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// Puts a result into `archive`, an empty file: a file as it is, a folder as a zip. Blocking. Gives notes on what was
/// left out.
pub(crate) fn pack(result: &Path, archive: &mut File, limits: &UnpackLimits) -> Result<Vec<String>, PackError> {
    let (parent, name) = (result.parent().unwrap_or(Path::new("/")), result.file_name().unwrap_or_default());
    let above = openat2(
        CWD,
        parent,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::empty(),
    )
    .map_err(io::Error::from)?;
    let no_links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let result = openat2(&above, Path::new(name), flags(), Mode::empty(), no_links).map_err(io::Error::from)?;
    let mut file = File::from(result);
    let found = file.metadata()?;
    if found.is_file() {
        check("file_bytes", found.len(), limits.file_bytes, || format!("it has {} bytes", found.len()))?;
        io::copy(&mut file, archive)?;
        return Ok(Vec::new());
    }
    let mut packing = Packing {
        root: OwnedFd::from(file.try_clone()?),
        zip: ZipWriter::new(archive),
        limits,
        entries: 0,
        bytes: 0,
        within: Vec::new(),
        notes: Vec::new(),
        more: 0,
    };
    packing.folder(Path::new("."), OwnedFd::from(file), &found)?;
    let Packing { zip, mut notes, more, .. } = packing;
    let archive = zip.finish()?;
    archive.flush()?;
    archive.seek(SeekFrom::Start(0))?;
    if more > 0 {
        notes.push(format!("left out {more} more"));
    }
    Ok(notes)
}

/// Opening must not wait for a pipe's other end, nor turn a link's target into anything.
fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

struct Packing<'a> {
    root: OwnedFd,
    zip: ZipWriter<&'a mut File>,
    limits: &'a UnpackLimits,
    entries: usize,
    bytes: u64,
    /// The folders being walked: a link to one of them would never end.
    within: Vec<(u64, u64)>,
    notes: Vec<String>,
    more: usize,
}

impl Packing<'_> {
    /// Adds a folder and what is in it, in the order of names.
    fn folder(&mut self, path: &Path, folder: OwnedFd, found: &std::fs::Metadata) -> Result<(), PackError> {
        let (limits, depth, own) = (self.limits, self.within.len(), (found.dev(), found.ino()));
        if self.within.contains(&own) {
            self.left_out(format_args!("{}: a link to a folder that holds it", path.display()));
            return Ok(());
        }
        check("depth", depth as u64, limits.depth as u64, || format!("{} is that many folders deep", path.display()))?;
        if depth > 0 {
            let name = self.count(path)?;
            self.zip.add_directory(name, options().unix_permissions(0o755))?;
        }
        self.within.push(own);
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((std::ffi::OsStr::from_bytes(name).to_owned(), entry.file_type()));
            }
        }
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kind) in names {
            let path = if depth == 0 { PathBuf::from(name) } else { path.join(name) };
            self.entry(&path, kind)?;
        }
        self.within.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path, kind: FileType) -> Result<(), PackError> {
        let opened = match self.open(path) {
            Ok(opened) => File::from(opened),
            Err(error) if kind == FileType::Symlink => {
                let why = "a link that leads out of the result, or nowhere";
                self.left_out(format_args!("{}: {why} ({error})", path.display()));
                return Ok(());
            }
            Err(_) if !matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Unknown) => {
                self.left_out(format_args!("{}: neither a file nor a folder", path.display()));
                return Ok(());
            }
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())).into()),
        };
        let found = opened.metadata()?;
        if found.is_dir() {
            return self.folder(path, OwnedFd::from(opened), &found);
        }
        if !found.is_file() {
            self.left_out(format_args!("{}: neither a file nor a folder", path.display()));
            return Ok(());
        }
        self.file(path, opened, &found)
    }

    fn file(&mut self, path: &Path, mut file: File, found: &std::fs::Metadata) -> Result<(), PackError> {
        let limits = self.limits;
        let name = self.count(path)?;
        self.bytes += found.len();
        check("file_bytes", found.len(), limits.file_bytes, || format!("{name} has {} bytes", found.len()))?;
        check("total_bytes", self.bytes, limits.total_bytes, || format!("it has {} bytes or more", self.bytes))?;
        let executable = found.mode() & 0o111 != 0;
        self.zip.start_file(name, options().unix_permissions(if executable { 0o755 } else { 0o644 }))?;
        io::copy(&mut file, &mut self.zip)?;
        Ok(())
    }

    /// One more entry; gives its name.
    fn count<'p>(&mut self, path: &'p Path) -> Result<&'p str, PackError> {
        let limits = self.limits;
        let name = path.to_str().ok_or_else(|| PackError::Name { name: path.to_owned() })?;
        self.entries += 1;
        let entries = self.entries;
        check("entries", entries as u64, limits.entries as u64, || {
            format!("it has {entries} files and folders or more")
        })?;
        check("path_bytes", name.len() as u64, limits.path_bytes as u64, || format!("the path {name} is that long"))?;
        Ok(name)
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.root, path, flags(), Mode::empty(), beneath)?)
    }

    fn left_out(&mut self, what: impl std::fmt::Display) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(format!("left out {what}"));
        } else {
            self.more += 1;
        }
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::default())
}

fn check(limit: &'static str, found: u64, value: u64, what: impl FnOnce() -> String) -> Result<(), PackError> {
    if found > value { Err(PackError::OverLimit { what: what(), limit, value }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
