//! Tar entries as images want them: everything is root's, nothing has a time, long names have PAX headers.

use std::io::{self, Read, Write};

/// What tar counts in.
const BLOCK: u64 = 512;
/// The longest path or link target the plain header has room for.
const PLAIN: usize = 100;
/// Two empty blocks end an archive.
const END: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
}

/// An entry without its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    /// Without a slash at its beginning or end.
    pub(super) path: &'a str,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// Bytes of content that follow; of files only.
    pub(super) size: u64,
    /// Where a link leads.
    pub(super) target: &'a str,
}

impl<'a> Header<'a> {
    /// A file everyone may read.
    pub(super) fn file(path: &'a str, size: u64) -> Self {
        Self { path, kind: Kind::File, mode: 0o644, size, target: "" }
    }

    fn is_plain(&self) -> bool {
        // A folder's path is written with a slash behind it.
        let fits = |text: &str, room: usize| text.len() <= room && text.is_ascii();
        fits(self.path, PLAIN - 1) && fits(self.target, PLAIN)
    }

    fn extension(&self) -> Vec<u8> {
        let mut text = record("path", &self.full_path());
        if self.kind == Kind::Link {
            text.push_str(&record("linkpath", self.target));
        }
        text.into_bytes()
    }

    fn full_path(&self) -> String {
        let end = if self.kind == Kind::Folder { "/" } else { "" };
        format!("{}{end}", self.path)
    }

    /// Bytes the entry takes in an archive, with its content.
    pub(super) fn bytes(&self) -> u64 {
        let extension = if self.is_plain() { 0 } else { BLOCK + padded(self.extension().len() as u64) };
        extension + BLOCK + padded(self.size)
    }
}

/// Bytes of an archive of these entries.
pub(super) fn bytes<'a>(headers: impl Iterator<Item = Header<'a>>) -> u64 {
    headers.map(|header| header.bytes()).sum::<u64>() + END.len() as u64
}

/// Writes an entry and its content, which must have the size that the header says.
pub(super) fn write(out: &mut impl Write, header: Header<'_>, content: &mut impl Read) -> io::Result<()> {
    write_header(out, header)?;
    let copied = io::copy(&mut content.take(header.size + 1), out)?;
    if copied != header.size {
        let what = format!("{} changed while it was read", header.path);
        return Err(io::Error::other(what));
    }
    pad(out, header.size)
}

/// Writes an entry without its content; [`pad`] follows the content.
pub(super) fn write_header(out: &mut impl Write, header: Header<'_>) -> io::Result<()> {
    let path = header.full_path();
    if header.is_plain() {
        return out.write_all(&block(&path, header.target, flag(header.kind), header.mode, header.size));
    }
    let extension = header.extension();
    out.write_all(&block("long-name", "", b'x', 0o644, extension.len() as u64))?;
    out.write_all(&extension)?;
    pad(out, extension.len() as u64)?;
    out.write_all(&block(&shortened(&path), &shortened(header.target), flag(header.kind), header.mode, header.size))
}

/// Fills the last block of some content.
pub(super) fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let missing = usize::try_from(padded(size) - size).unwrap_or_default();
    out.write_all(&END[..missing])
}

/// Ends an archive.
pub(super) fn finish(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&END)
}

fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK) * BLOCK
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Link => b'2',
        Kind::Folder => b'5',
    }
}

/// What readers that know no PAX headers see.
fn shortened(text: &str) -> String {
    text.chars().filter(char::is_ascii).take(PLAIN).collect()
}

/// One line of a PAX header. It begins with its own length, the digits of which count too.
fn record(name: &str, value: &str) -> String {
    let rest = name.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    format!("{length} {name}={value}\n")
}

fn block(path: &str, target: &str, flag: u8, mode: u32, size: u64) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    // Owner, group and time are nought.
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[flag]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: Header<'_>, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, header, &mut &content[..]).expect("a vector takes everything");
        out
    }

    #[test]
    fn a_short_entry_is_one_header_and_padded_content() {
        let bytes = written(Header::file("a/b", 3), b"abc");
        assert_eq!(bytes.len() as u64, Header::file("a/b", 3).bytes());
        assert_eq!(&bytes[..4], b"a/b\0");
        assert_eq!(&bytes[512..516], b"abc\0");
        let sum: u32 = bytes[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(&bytes[148..154], format!("{sum:06o}").as_bytes());
    }

    #[test]
    fn a_long_or_foreign_name_has_a_pax_header_that_counts_itself() {
        let long = "d/".repeat(80) + "ä";
        let header = Header::file(&long, 0);
        let bytes = written(header, b"");
        assert_eq!(bytes.len() as u64, header.bytes());
        assert_eq!(bytes[156], b'x');
        let line = format!("172 path={long}\n");
        assert_eq!(line.len(), 172);
        assert_eq!(&bytes[512..512 + line.len()], line.as_bytes());
    }

    #[test]
    fn lengths_at_the_edge_of_another_digit_are_right() {
        for length in 80..120 {
            let line = record("path", &"a".repeat(length));
            assert!(line.starts_with(&format!("{} ", line.len())), "{line}");
        }
    }

    #[test]
    fn content_of_another_size_is_an_error() {
        for content in [&b"ab"[..], b"abcd"] {
            assert!(write(&mut Vec::new(), Header::file("a", 3), &mut &content[..]).is_err());
        }
    }
}
