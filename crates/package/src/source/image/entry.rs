//! The entries of one layer, as they are in the archive: with their whole names, and with nothing taken for granted.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use tar::{Archive, EntryType, PaxExtensions};

/// Bytes of an entry that only says more of the next one: its name, or its attributes.
const EXTENSION_BYTES: u64 = 1 << 20;
/// What names a path that layers below do not show.
const WHITEOUT: &[u8] = b".wh.";
/// What names a folder whose content in layers below is not shown.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Characters of a name quoted in a message.
const SHOWN_CHARS: usize = 120;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// With these permissions and this size.
    File {
        mode: u32,
        size: u64,
    },
    Link(&'static str),
    Device,
    /// Hides what layers below have at its path.
    Whiteout,
    /// Hides what layers below have in its folder.
    Opaque,
}

/// One entry. Its path is made of plain components; the root's has none.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// Why a layer was not read to its end. The text follows the name of the image.
#[derive(Debug)]
pub(super) enum Stopped<E> {
    Unreadable(io::Error),
    Unsafe(String),
    /// What the visitor said.
    Visitor(E),
}

/// Shows every entry of a layer, in order, with its content.
pub(super) fn each<E>(
    layer: impl Read,
    mut visit: impl FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let mut archive = Archive::new(layer);
    // Raw: names that are longer than a header are read here, because they may be longer than memory.
    let entries = archive.entries().map_err(Stopped::Unreadable)?.raw(true);
    let mut longer = Longer::default();
    for entry in entries {
        let mut entry = entry.map_err(Stopped::Unreadable)?;
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader) {
            longer.read(kind, &mut entry).map_err(Stopped::Unreadable)?;
            continue;
        }
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let longer = std::mem::take(&mut longer);
        let name = longer.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let refuse = |why: &str| Stopped::Unsafe(format!("is refused because of its entry {:?}: {why}", shown(&name)));
        let size = entry.size();
        if longer.is_sparse || kind == EntryType::GNUSparse || longer.size.is_some_and(|real| real != size) {
            return Err(refuse("it is stored sparse, or larger than 8 GiB, which nothing here reads"));
        }
        let mode = entry.header().mode().map_err(Stopped::Unreadable)?;
        let found = understand(&name, kind, mode, size).map_err(refuse)?;
        visit(found, &mut entry).map_err(Stopped::Visitor)?;
    }
    Ok(())
}

/// What entries before an entry say of it.
#[derive(Default)]
struct Longer {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl Longer {
    fn read(&mut self, kind: EntryType, entry: &mut impl Read) -> io::Result<()> {
        let mut content = Vec::new();
        entry.take(EXTENSION_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > EXTENSION_BYTES {
            return Err(io::Error::other(format!("a name or its attributes have more than {EXTENSION_BYTES} bytes")));
        }
        match kind {
            EntryType::GNULongName => {
                while content.last() == Some(&0) {
                    content.pop();
                }
                self.path = Some(content);
            }
            EntryType::XHeader => {
                for extension in PaxExtensions::new(&content) {
                    let extension = extension?;
                    match extension.key_bytes() {
                        b"path" => self.path = Some(extension.value_bytes().to_owned()),
                        b"size" => self.size = extension.value().ok().and_then(|size| size.parse().ok()),
                        key if key.starts_with(b"GNU.sparse") => self.is_sparse = true,
                        _ => {}
                    }
                }
            }
            // The end of a link, which is refused whatever it is.
            _ => {}
        }
        Ok(())
    }
}

fn understand(name: &[u8], kind: EntryType, mode: u32, size: u64) -> Result<Entry, &'static str> {
    let mut path = plain(name)?;
    let last = path.file_name().map(|name| name.as_bytes().to_owned()).unwrap_or_default();
    if last == OPAQUE {
        path.pop();
        return Ok(Entry { path, kind: Kind::Opaque });
    }
    if let Some(hidden) = last.strip_prefix(WHITEOUT) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err("it hides nothing that has a name");
        }
        path.set_file_name(OsStr::from_bytes(hidden));
        return Ok(Entry { path, kind: Kind::Whiteout });
    }
    let kind = match kind {
        EntryType::Directory => Kind::Folder,
        // Archives older than the type of folders.
        EntryType::Regular if name.ends_with(b"/") => Kind::Folder,
        EntryType::Regular | EntryType::Continuous => Kind::File { mode, size },
        EntryType::Symlink => Kind::Link("a symbolic link"),
        EntryType::Link => Kind::Link("a hard link"),
        EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Device,
        _ => return Err("its type is unknown"),
    };
    Ok(Entry { path, kind })
}

/// A name as a path of plain components.
fn plain(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.starts_with(b"/") {
        return Err("its name is absolute");
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            // `./name` and `name/` are how most archivers write them.
            b"" | b"." => {}
            b".." => return Err("its name leaves the image with .."),
            part if part.contains(&0) => return Err("its name contains a NUL byte"),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

/// A name short enough for a message.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(SHOWN_CHARS).collect()
}
