//! Writes the entries of an archive below one folder.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::entry::{Kind, kind, safe_path, shown};
use super::{ArchiveError, UnpackLimits};

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 * 1024;
/// Least bytes of one entry in the directory of an archive.
const DIRECTORY_ENTRY_BYTES: u64 = 46;
/// Mode of a file whose entry says none.
const DEFAULT_MODE: u32 = 0o644;

/// Unpacks `archive` into `target`, an existing empty folder no one else writes to.
///
/// Blocking. Files get the permission bits of their entry within 0755 and are readable by all; owners, times and
/// special bits are not taken over. On an error the folder may hold part of the archive.
pub fn unpack(archive: &mut File, target: &Path, limits: &UnpackLimits) -> Result<(), ArchiveError> {
    let packed = archive.metadata().map_err(unreadable)?.len();
    refuse_endless_directory(archive, packed, limits)?;
    let mut zip = ZipArchive::new(BufReader::new(archive)).map_err(unreadable)?;
    if zip.has_duplicate_names() {
        let entry = "(several)".to_owned();
        return Err(ArchiveError::Unsafe { entry, why: "two entries have the same name" });
    }
    let mut budget = Budget::new(packed, limits);
    budget.entries(zip.len())?;
    let mut seen = HashSet::with_capacity(zip.len());
    let mut folders = Folders { target, made: HashSet::new(), most: limits.entries };
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        let (kind, path) = (kind(&name, entry.unix_mode())?, safe_path(&name, limits)?);
        // Names that differ only in `./` mean the same file.
        if !seen.insert(path.clone()) {
            return Err(ArchiveError::Unsafe { entry: shown(&name), why: "two entries have the same name" });
        }
        match kind {
            Kind::Directory => folders.make(&path, &name)?,
            Kind::File => {
                budget.announced(&name, entry.size())?;
                folders.make(path.parent().unwrap_or(Path::new("")), &name)?;
                let mode = entry.unix_mode().unwrap_or(DEFAULT_MODE);
                write_file(&mut entry, &target.join(path), &name, mode, &mut budget)?;
            }
        }
    }
    Ok(())
}

/// The zip reader takes every entry of the directory into memory before it can be asked how many there are, so their
/// signatures are counted first. Only archives large enough to hold too many are read for it.
fn refuse_endless_directory(archive: &mut File, packed: u64, limits: &UnpackLimits) -> Result<(), ArchiveError> {
    const SIGNATURE: &[u8] = b"PK\x01\x02";
    if packed / DIRECTORY_ENTRY_BYTES <= limits.entries as u64 {
        return Ok(());
    }
    archive.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let (mut buffer, mut kept, mut count) = (vec![0; COPY_BYTES], 0, 0usize);
    loop {
        let read = archive.read(&mut buffer[kept..]).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        let filled = kept + read;
        count += buffer[..filled].windows(SIGNATURE.len()).filter(|window| *window == SIGNATURE).count();
        kept = filled.min(SIGNATURE.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
    // An archive of archives holds signatures that are not its own; leave room for them.
    const NESTED: usize = 4;
    if count > limits.entries.saturating_mul(NESTED) {
        let what = format!("its directory has some {count} entries");
        return Err(ArchiveError::OverLimit { what, limit: "entries", value: limits.entries as u64 });
    }
    archive.seek(SeekFrom::Start(0)).map(drop).map_err(unreadable)
}

/// The folders made so far. They count as entries, or a few long names could use up a disk's inodes.
struct Folders<'a> {
    target: &'a Path,
    made: HashSet<PathBuf>,
    most: usize,
}

impl Folders<'_> {
    fn make(&mut self, path: &Path, entry: &str) -> Result<(), ArchiveError> {
        if path.as_os_str().is_empty() || self.made.contains(path) {
            return Ok(());
        }
        self.made.extend(path.ancestors().filter(|part| !part.as_os_str().is_empty()).map(Path::to_owned));
        if self.made.len() > self.most {
            let what = format!("it makes {} folders or more", self.made.len());
            return Err(ArchiveError::OverLimit { what, limit: "entries", value: self.most as u64 });
        }
        let path = self.target.join(path);
        fs::create_dir_all(&path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                ArchiveError::Unsafe { entry: shown(entry), why: "another entry has one of its folders as a file" }
            }
            _ => ArchiveError::Write { path, source },
        })
    }
}

fn write_file(
    entry: &mut impl Read,
    path: &Path,
    name: &str,
    mode: u32,
    budget: &mut Budget,
) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Write { path: PathBuf::from(path), source };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|source| {
            match source.kind() {
                io::ErrorKind::AlreadyExists => {
                    ArchiveError::Unsafe { entry: shown(name), why: "it is both a file and a folder" }
                }
                _ => failed(source),
            }
        })?;
    let (mut buffer, mut written) = (vec![0; COPY_BYTES], 0);
    loop {
        let read = match entry.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ArchiveError::Unreadable { why: format!("entry {:?}: {error}", shown(name)) }),
        };
        written += read as u64;
        budget.wrote(name, written, read as u64)?;
        file.write_all(&buffer[..read]).map_err(failed)?;
    }
    file.set_permissions(Permissions::from_mode(mode & 0o755 | 0o444)).map_err(failed)
}

/// What is left of the limits while an archive is unpacked. Counts what is written; what the archive claims only
/// serves to refuse early.
struct Budget<'a> {
    limits: &'a UnpackLimits,
    /// Bytes the compression ratio allows.
    by_ratio: u64,
    total: u64,
}

impl<'a> Budget<'a> {
    fn new(packed: u64, limits: &'a UnpackLimits) -> Self {
        let by_ratio = packed.saturating_mul(limits.ratio).max(UnpackLimits::RATIO_FREE_BYTES);
        Self { limits, by_ratio, total: 0 }
    }

    fn entries(&self, count: usize) -> Result<(), ArchiveError> {
        if count > self.limits.entries {
            let what = format!("it has {count} entries");
            return Err(ArchiveError::OverLimit { what, limit: "entries", value: self.limits.entries as u64 });
        }
        Ok(())
    }

    fn announced(&self, name: &str, size: u64) -> Result<(), ArchiveError> {
        self.check(name, size, self.total.saturating_add(size))
    }

    fn wrote(&mut self, name: &str, file: u64, more: u64) -> Result<(), ArchiveError> {
        self.total = self.total.saturating_add(more);
        self.check(name, file, self.total)
    }

    fn check(&self, name: &str, file: u64, total: u64) -> Result<(), ArchiveError> {
        let limits = self.limits;
        let (what, limit, value) = if file > limits.file_bytes {
            (format!("its file {:?} has {file} bytes or more", shown(name)), "file_bytes", limits.file_bytes)
        } else if total > limits.total_bytes {
            (format!("its files have {total} bytes or more"), "total_bytes", limits.total_bytes)
        } else if total > self.by_ratio {
            (format!("it unpacks to {total} bytes or more, far larger than it is"), "ratio", limits.ratio)
        } else {
            return Ok(());
        };
        Err(ArchiveError::OverLimit { what, limit, value })
    }
}

fn unreadable(error: impl Into<ZipError>) -> ArchiveError {
    ArchiveError::Unreadable { why: error.into().to_string() }
}
