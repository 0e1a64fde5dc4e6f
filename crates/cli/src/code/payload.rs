//! One archive ready to be stored: a file, its size and its checksum.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use fission_api::{Archive, Checksum, MAX_LITERAL_BYTES};
use k8s_openapi::ByteString;
use tempfile::NamedTempFile;

use crate::code::bundle::{self, Files};
use crate::failure::{Doing, Failure, Outcome};
use crate::session::Session;
use crate::storage;

/// Bytes read at once for a checksum.
const CHUNK: usize = 64 * 1024;

/// A file with an archive in it. A temporary one goes away with this value.
#[derive(Debug)]
pub(crate) struct Payload {
    path: PathBuf,
    _temporary: Option<NamedTempFile>,
    pub(crate) size: u64,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

impl Payload {
    /// A file as it is.
    pub(crate) fn of_file(path: PathBuf) -> Outcome<Self> {
        let (size, sha256) = measure(&path)?;
        if size == 0 {
            return Err(Failure::new(format_args!("{} is empty: there is no code in it", path.display())));
        }
        Ok(Self { path, _temporary: None, size, sha256 })
    }

    /// Several files as one zip.
    pub(crate) fn of_files(files: &Files) -> Outcome<Self> {
        let mut temporary = NamedTempFile::with_prefix("fission-").doing("cannot make a temporary file")?;
        bundle::write_zip(files, temporary.as_file_mut())?;
        let path = temporary.path().to_owned();
        let (size, sha256) = measure(&path)?;
        Ok(Self { path, _temporary: Some(temporary), size, sha256 })
    }

    /// Whether it is small enough to live in the package itself. Exactly the limit is not.
    pub(crate) fn is_small(&self) -> bool {
        self.size < MAX_LITERAL_BYTES as u64
    }

    /// The archive of a package: inline when small, else uploaded.
    pub(crate) async fn store(&self, s: &mut Session) -> Outcome<Archive> {
        if self.is_small() { self.inline() } else { self.upload(s).await }
    }

    /// The archive with the bytes in it.
    pub(crate) fn inline(&self) -> Outcome<Archive> {
        let bytes = std::fs::read(&self.path).doing(format_args!("cannot read {}", self.path.display()))?;
        Ok(Archive { kind: "literal".to_owned(), literal: Some(ByteString(bytes)), ..Archive::default() })
    }

    /// Uploads it and gives the archive that names it.
    pub(crate) async fn upload(&self, s: &mut Session) -> Outcome<Archive> {
        let id = storage::upload(s, &self.path, self.size).await?;
        Ok(Archive {
            kind: "url".to_owned(),
            url: storage::url_of(&id),
            checksum: self.checksum(),
            ..Archive::default()
        })
    }

    pub(crate) fn checksum(&self) -> Checksum {
        sha256(&self.sha256)
    }
}

/// A checksum of the only kind there is.
pub(crate) fn sha256(sum: &str) -> Checksum {
    Checksum { kind: "sha256".to_owned(), sum: sum.to_ascii_lowercase() }
}

fn measure(path: &Path) -> Outcome<(u64, String)> {
    let doing = || format!("cannot read {}", path.display());
    let mut file = File::open(path).doing(doing())?;
    if file.metadata().doing(doing())?.is_dir() {
        return Err(Failure::new(format_args!("{} is a folder", path.display()))
            .hint("give a folder with --deployarchive or --sourcearchive"));
    }
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = file.read(&mut chunk).doing(doing())?;
        if read == 0 {
            return Ok((size, hex(context.finish().as_ref())));
        }
        size += read as u64;
        context.update(&chunk[..read]);
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
