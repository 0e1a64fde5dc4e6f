//! What a component says of itself beside its code: custom sections, which engines skip.

use std::fs::File;
use std::io::{BufReader, Read, Result};
use std::path::Path;

/// Name of the section with the most requests one store of the component serves, as decimal digits. Languages whose
/// components cannot serve a second one have it written by their builder.
const REQUESTS_PER_STORE: &[u8] = b"fission:requests-per-store";
/// Bytes before the first section: magic number and version.
const PREAMBLE: usize = 8;
/// Sections looked at. A component is a stranger's; real ones have dozens.
const MOST_SECTIONS: usize = 10_000;
/// Bytes of a section that can be the one that is looked for.
const MOST_BYTES: u32 = 64;

/// The most requests one store of a component serves, where the component says it.
pub(crate) fn requests_per_store(component: &Path) -> Result<Option<u32>> {
    let mut file = BufReader::new(File::open(component)?);
    file.read_exact(&mut [0; PREAMBLE])?;
    for _ in 0..MOST_SECTIONS {
        let mut id = [0];
        if file.read(&mut id)? == 0 {
            return Ok(None);
        }
        let size = number(&mut file)?;
        if id[0] != 0 || size > MOST_BYTES {
            file.seek_relative(i64::from(size))?;
            continue;
        }
        let mut content = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact(&mut content)?;
        // A name this short has its length in one byte.
        let Some(text) = content.get(1..).and_then(|rest| rest.strip_prefix(REQUESTS_PER_STORE)) else { continue };
        return Ok(std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).filter(|most| *most > 0));
    }
    Ok(None)
}

/// An unsigned number in LEB128, of at most 32 bits (WebAssembly, binary format, values).
fn number(file: &mut impl Read) -> Result<u32> {
    let mut value: u64 = 0;
    for shift in (0..35).step_by(7) {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    u32::try_from(value).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

    fn custom(name: &str, content: &str) -> Vec<u8> {
        let size = u8::try_from(1 + name.len() + content.len()).unwrap();
        let mut section = vec![0, size, u8::try_from(name.len()).unwrap()];
        section.extend(name.bytes().chain(content.bytes()));
        section
    }

    fn said(sections: &[&[u8]]) -> Option<u32> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&[HEAD], sections].concat().concat()).unwrap();
        requests_per_store(file.path()).ok().flatten()
    }

    #[test]
    fn a_component_says_how_many_requests_a_store_serves() {
        let large = [&[1, 0xac, 0x02][..], &[7; 300]].concat();
        let own = custom("fission:requests-per-store", "1");
        assert_eq!(said(&[&large, &custom("name", "x"), &own]), Some(1));
        assert_eq!(said(&[&large, &custom("name", "x")]), None);
        assert_eq!(said(&[]), None);
    }

    #[test]
    fn what_is_no_number_or_no_component_says_nothing() {
        for content in ["", "0", "-1", "many", "99999999999"] {
            assert_eq!(said(&[&custom("fission:requests-per-store", content)]), None, "{content}");
        }
        for broken in
            [&[0][..], &[0, 0x80], &[0, 40, 1], &[1, 0xff, 0xff, 0xff, 0xff, 0x7f], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]]
        {
            assert_eq!(said(&[broken]), None, "{broken:?}");
        }
    }
}
