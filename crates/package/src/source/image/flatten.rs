//! Layers, laid over one another, as one folder.
//!
//! The uppermost layer is written first, and an entry of a layer below it is left out where one above has something at
//! its place: nothing that was written is ever changed, no link is ever made, and what is covered is not asked whether it
//! could be taken.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::super::{Failure, local};
use super::Image;
use super::entry::{self, Entry, Kind, Stopped, shown};
use crate::archive::UnpackLimits;

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 * 1024;
/// Bytes of one path component Linux file systems take.
const COMPONENT_BYTES: usize = 255;

/// Writes what is in the image's folder below `target`, an empty one no one else writes to. Blocking.
///
/// Files get their permission bits within 0755 and are readable by all. `read_bytes`: bytes of all layers, decompressed.
/// On an error the folder may hold part of the image.
pub(super) fn flatten(
    image: &Image,
    layers: Vec<File>,
    target: &Path,
    limits: &UnpackLimits,
    read_bytes: u64,
) -> Result<(), Failure> {
    let mut left = read_bytes;
    let mut tree = Tree {
        image,
        target,
        limits,
        above: Covers::default(),
        here: Covers::default(),
        entries: 0,
        bytes: 0,
        found: false,
    };
    for layer in layers.into_iter().rev() {
        let layer = Limited { inner: opened(image, layer)?, left: &mut left, most: read_bytes };
        entry::each(layer, |entry, content| tree.take(&entry, content)).map_err(|stopped| match stopped {
            Stopped::Unreadable(error) => unusable(image, &format!("has a layer that cannot be read: {error}")),
            Stopped::Unsafe(why) => unusable(image, &why),
            Stopped::Visitor(failure) => failure,
        })?;
        tree.above.add(std::mem::take(&mut tree.here));
    }
    match tree.found {
        true => Ok(()),
        false if image.folder.as_os_str().is_empty() => Err(unusable(image, "holds no files")),
        false => Err(unusable(image, &format!("holds nothing at its subPath {}", image.folder.display()))),
    }
}

fn unusable(image: &Image, why: &str) -> Failure {
    Failure::Unusable(format!("its image {image} {why}"))
}

/// A layer's archive, decompressed as its first bytes say.
fn opened(image: &Image, file: File) -> Result<Box<dyn Read>, Failure> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let mut start = [0; 4];
    let read = file.read_at(&mut start, 0).map_err(|error| local("read", &error))?;
    // Whoever wrote it left its position at its end.
    io::Seek::rewind(&mut &file).map_err(|error| local("read", &error))?;
    let reader = BufReader::with_capacity(COPY_BYTES, file);
    match &start[..read] {
        start if start.starts_with(GZIP) => Ok(Box::new(MultiGzDecoder::new(reader))),
        start if start.starts_with(ZSTD) => {
            Err(unusable(image, "has a layer compressed with zstd, which nothing here reads; build it with gzip"))
        }
        _ => Ok(Box::new(reader)),
    }
}

/// Stops what decompresses to more than it may.
struct Limited<'a> {
    inner: Box<dyn Read>,
    left: &'a mut u64,
    most: u64,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let over = || io::Error::other(format!("its layers have more bytes than the limit read_bytes = {}", self.most));
        *self.left = self.left.checked_sub(read as u64).ok_or_else(over)?;
        Ok(read)
    }
}

/// What a layer covers of those below it.
#[derive(Default)]
struct Covers {
    /// Everything at and below these paths.
    whole: HashSet<PathBuf>,
    /// Everything below these folders.
    below: HashSet<PathBuf>,
    /// What is no folder at these paths: a folder is there.
    folders: HashSet<PathBuf>,
}

impl Covers {
    fn has(&self, path: &Path) -> bool {
        path.ancestors().any(|part| self.whole.contains(part))
            || path.ancestors().skip(1).any(|part| self.below.contains(part))
    }

    fn add(&mut self, other: Self) {
        self.whole.extend(other.whole);
        self.below.extend(other.below);
        self.folders.extend(other.folders);
    }
}

struct Tree<'a> {
    image: &'a Image,
    target: &'a Path,
    limits: &'a UnpackLimits,
    /// Of the layers written already.
    above: Covers,
    /// Of the layer being written: it covers those below it, not itself.
    here: Covers,
    /// Entries that were not passed over.
    entries: usize,
    bytes: u64,
    /// Whether the image's folder is there.
    found: bool,
}

impl Tree<'_> {
    fn take(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Failure> {
        let (path, folder) = (&entry.path, &self.image.folder);
        let inside = path.starts_with(folder);
        // Of what is beside the folder only what is above it matters.
        if !inside && !folder.starts_with(path) {
            return Ok(());
        }
        if self.above.has(path) {
            return Ok(());
        }
        self.count()?;
        let is_file = !matches!(entry.kind, Kind::Folder | Kind::Opaque);
        if is_file && self.above.folders.contains(path) {
            // Covered by a folder, but it parts that folder from another one below.
            self.here.whole.insert(path.clone());
            return Ok(());
        }
        match entry.kind {
            Kind::Whiteout => _ = self.here.whole.insert(path.clone()),
            Kind::Opaque => _ = self.here.below.insert(path.clone()),
            Kind::Folder => {
                self.here.folders.insert(path.clone());
                if inside {
                    self.found = true;
                    self.make(path)?;
                }
            }
            Kind::Link(_) | Kind::Device | Kind::File { .. } if !inside || path == folder => {
                return Err(self.refused(path, "it is no folder, and subPath goes through it"));
            }
            Kind::Link(what) => return Err(self.refused(path, &format!("it is {what}, which code may not have"))),
            Kind::Device => _ = self.here.whole.insert(path.clone()),
            Kind::File { mode, size } => {
                self.found = true;
                self.here.whole.insert(path.clone());
                let parents = path.ancestors().skip(1).map(Path::to_owned);
                self.here.folders.extend(parents);
                self.make(path.parent().unwrap_or(Path::new("")))?;
                self.write(path, mode, size, content)?;
            }
        }
        Ok(())
    }

    fn refused(&self, path: &Path, why: &str) -> Failure {
        let entry = shown(path.as_os_str().as_bytes());
        unusable(self.image, &format!("is refused because of its entry {entry:?}: {why}"))
    }

    fn over(&self, what: &str, limit: &str, value: u64) -> Failure {
        unusable(self.image, &format!("is refused: {what}, over the limit {limit} = {value}"))
    }

    fn count(&mut self) -> Result<(), Failure> {
        self.entries += 1;
        let most = self.limits.entries;
        if self.entries > most {
            return Err(self.over(&format!("it has {} entries or more", self.entries), "entries", most as u64));
        }
        Ok(())
    }

    /// Where a path of the image is written.
    fn place(&self, path: &Path) -> Result<PathBuf, Failure> {
        let inside = path.strip_prefix(&self.image.folder).unwrap_or(path);
        let (bytes, depth) = (inside.as_os_str().len(), inside.components().count());
        if bytes > self.limits.path_bytes {
            return Err(self.over(
                &format!("a path of it has {bytes} bytes"),
                "path_bytes",
                self.limits.path_bytes as u64,
            ));
        }
        if depth > self.limits.depth {
            return Err(self.over(&format!("a path of it is {depth} deep"), "depth", self.limits.depth as u64));
        }
        if inside.iter().any(|part| part.len() > COMPONENT_BYTES) {
            return Err(self.refused(path, "a part of its name is longer than 255 bytes"));
        }
        Ok(self.target.join(inside))
    }

    fn make(&self, path: &Path) -> Result<(), Failure> {
        // Above the image's folder there is nothing to make.
        if !path.starts_with(&self.image.folder) {
            return Ok(());
        }
        let place = self.place(path)?;
        fs::create_dir_all(&place).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                self.refused(path, "one layer has it, or a folder of it, as a file as well")
            }
            _ => local("written", &error),
        })
    }

    fn write(&mut self, path: &Path, mode: u32, size: u64, content: &mut dyn Read) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(size);
        let most = self.limits.total_bytes;
        if self.bytes > most {
            return Err(self.over(&format!("its files have {} bytes or more", self.bytes), "total_bytes", most));
        }
        let place = self.place(path)?;
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place);
        let mut file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused(path, "one layer has it twice"),
            _ => local("written", &error),
        })?;
        let (mut buffer, mut written) = (vec![0; COPY_BYTES], 0u64);
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    written += read as u64;
                    file.write_all(&buffer[..read]).map_err(|error| local("written", &error))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.refused(path, &format!("it cannot be read: {error}"))),
            }
        }
        if written != size {
            return Err(self.refused(path, "the layer ends in the middle of it"));
        }
        let mode = Permissions::from_mode(mode & 0o755 | 0o444);
        file.set_permissions(mode).map_err(|error| local("written", &error))
    }
}
