//! Where the bytes of archives are: in the object itself, in the storage, or anywhere in the world.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest::{Context, SHA256, digest};
use fission_api::Archive;
use reqwest::Url;

use super::download::{Downloader, FetchLimits};
use super::{Failure, hex, local};
use crate::storage::{Archives, StorageError};

/// Path of the storage service in a URL.
const ARCHIVE_PATH: &str = "/v1/archive";
/// Host name of the storage service in URLs that any home of the platform understands.
const STORAGE_HOST: &str = "storagesvc";

/// Where the bytes of a package are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Literal(Vec<u8>),
    Stored(String),
    Url(Url),
}

/// The bytes of an archive on their way into a file.
pub(crate) enum Content {
    /// These.
    Bytes(Vec<u8>),
    /// Those of this file.
    File(PathBuf),
    /// They are there, and this is their digest.
    There(String),
}

/// Finds archives and gets their bytes.
#[derive(Debug)]
pub(crate) struct Origins {
    archives: Archives,
    downloads: Downloader,
    /// Bytes of an archive.
    max: u64,
    own_hosts: RwLock<Vec<String>>,
}

impl Origins {
    pub(crate) fn new(archives: impl Into<Archives>, limits: FetchLimits) -> Self {
        let archives = archives.into();
        let own_hosts = match &archives {
            Archives::Here(_) => Vec::new(),
            Archives::Remote(storage) => vec![storage.host()],
        };
        Self { archives, downloads: Downloader::new(limits), max: limits.bytes, own_hosts: RwLock::new(own_hosts) }
    }

    pub(super) fn add_own_host(&self, host: String) {
        self.own_hosts.write().unwrap_or_else(PoisonError::into_inner).push(host);
    }

    /// Gets the bytes of an archive into `file`, as far as they must come from elsewhere.
    pub(crate) async fn content(&self, origin: Origin, file: &File) -> Result<Content, Failure> {
        let writing = || file.try_clone().map_err(|error| local("written", &error));
        Ok(match (origin, &self.archives) {
            (Origin::Literal(bytes), _) => Content::Bytes(bytes),
            (Origin::Stored(id), Archives::Here(storage)) => {
                Content::File(storage.path(&id).await.map_err(|error| not_stored(&error))?)
            }
            (Origin::Stored(id), Archives::Remote(storage)) => {
                let fetched = storage.fetch(&id, writing()?, self.max).await;
                Content::There(fetched.map_err(|error| not_stored(&error))?)
            }
            (Origin::Url(url), _) => Content::There(self.downloads.fetch(&url, writing()?).await?),
        })
    }

    pub(crate) fn find(&self, archive: &Archive) -> Result<Origin, Failure> {
        if let Some(bytes) = archive.literal.as_ref().filter(|bytes| !bytes.0.is_empty()) {
            return Ok(Origin::Literal(bytes.0.clone()));
        }
        if archive.url.is_empty() {
            let why = "an OCI image is code to be run, not to be built; give a file, a zip archive or a URL";
            return Err(Failure::Unusable(why.to_owned()));
        }
        let bad = |error| Failure::Unusable(format!("its URL {:?} cannot be read: {error}", archive.url));
        let url = Url::parse(&archive.url).map_err(bad)?;
        if url.path() == ARCHIVE_PATH && self.is_own(&url) {
            let id = id_of(&url);
            let none = || Failure::Unusable(format!("its URL {url} names no archive; it must end in ?id=<id>"));
            return id.map(Origin::Stored).ok_or_else(none);
        }
        Ok(Origin::Url(url))
    }

    fn is_own(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else { return false };
        if host == STORAGE_HOST || host.strip_prefix(STORAGE_HOST).is_some_and(|rest| rest.starts_with('.')) {
            return true;
        }
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let own = self.own_hosts.read().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|own| *own == host || *own == with_port)
    }
}

impl Content {
    /// Completes the file; returns its digest. Blocking.
    pub(crate) fn write(self, file: &mut File) -> Result<String, Failure> {
        match self {
            Self::Bytes(bytes) => {
                file.write_all(&bytes).map_err(|error| local("written", &error))?;
                Ok(hex(digest(&SHA256, &bytes).as_ref()))
            }
            Self::File(path) => copy(file, &path),
            Self::There(digest) => Ok(digest),
        }
    }
}

/// The digest a package says its archive has.
pub(crate) fn checksum(archive: &Archive) -> Result<Option<String>, Failure> {
    const DIGITS: usize = 64;
    let checksum = &archive.checksum;
    if checksum.sum.is_empty() {
        return Ok(None);
    }
    if checksum.kind != "sha256" {
        return Err(Failure::Unusable(format!("its checksum type {:?} is not sha256", checksum.kind)));
    }
    if checksum.sum.len() != DIGITS || !checksum.sum.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::Unusable(format!("its checksum {:?} is not a sha256 in hex", checksum.sum)));
    }
    Ok(Some(checksum.sum.to_ascii_lowercase()))
}

fn copy(file: &mut File, from: &Path) -> Result<String, Failure> {
    const COPY_BYTES: usize = 128 * 1024;
    let mut source = File::open(from).map_err(|error| local("read", &error))?;
    let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; COPY_BYTES]);
    loop {
        match source.read(&mut buffer).map_err(|error| local("read", &error))? {
            0 => return Ok(hex(digest.finish().as_ref())),
            read => {
                digest.update(&buffer[..read]);
                file.write_all(&buffer[..read]).map_err(|error| local("written", &error))?;
            }
        }
    }
}

fn not_stored(error: &StorageError) -> Failure {
    match error {
        StorageError::NotFound { .. } => Failure::Unusable(format!("{error}; upload it again")),
        StorageError::TooLarge { .. } => Failure::Unusable(error.to_string()),
        error => Failure::Unreachable(error.to_string()),
    }
}

/// The archive a URL names, whatever its host; none if it names no archive.
pub(crate) fn archive_id(url: &str) -> Result<Option<String>, String> {
    Url::parse(url).map(|url| id_of(&url)).map_err(|error| error.to_string())
}

fn id_of(url: &Url) -> Option<String> {
    url.query_pairs().find(|(name, _)| name == "id").map(|(_, id)| id.into_owned())
}
