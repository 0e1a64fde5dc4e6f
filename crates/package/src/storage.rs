//! The storage service: archives too large to be written into a Package, kept as files of one folder.
//!
//! An archive is staged next to its final place, synced and renamed, so an id that was handed out always names a
//! complete, durable file, and an upload that ends early leaves nothing.

mod hear_out;
mod http;
mod remote;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, pin_mut};
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::io::AsyncSeekExt;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

pub use http::{FORM_OVERHEAD_BYTES, http, http_of_tenants};
pub use remote::RemoteStorage;

/// Folder of the archives, and first part of their ids; Fission's default.
const FOLDER: &str = "fission-functions";
/// Part of the ids of archives that belong to one namespace; the namespace comes after it.
const TENANTS: &str = "_tenant_";
/// Bytes collected before they are written, so that small network reads do not become small disk writes.
const WRITE_BYTES: usize = 1 << 20;

/// Limits of the storage service.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of one archive.
    pub max_archive_bytes: u64,
}

impl Default for Options {
    /// 256 MiB: a large application with its dependencies, and little enough that a typing error cannot fill a disk.
    fn default() -> Self {
        Self { max_archive_bytes: 256 << 20 }
    }
}

/// Why an archive could not be stored, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The folder cannot be used.
    #[error("the archive storage {} cannot be opened: {why}", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
        /// What failed.
        why: String,
    },
    /// No archive has this id.
    #[error("there is no archive with id {id:?}")]
    NotFound {
        /// The id asked for.
        id: String,
    },
    /// The archive is larger than this server takes.
    #[error("the archive has more than {max} bytes, the limit max_archive_bytes of the storage service")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// The sender stopped or broke off; nothing was kept.
    #[error("the upload was not complete: {why}")]
    Incomplete {
        /// What happened.
        why: String,
    },
    /// No room on disk; nothing was kept.
    #[error("the archive was not stored: no space left in {}; free some or delete archives", dir.display())]
    DiskFull {
        /// The folder.
        dir: PathBuf,
    },
    /// The storage service could not be reached, or answered that it cannot do it now.
    #[error("the storage service did not do it: {why}")]
    Unreachable {
        /// What happened.
        why: String,
    },
    /// The storage service will not do it.
    #[error("the storage service refused it: {why}")]
    Refused {
        /// What it says.
        why: String,
    },
    /// The disk failed.
    #[error("the archive could not be {action}: {why}")]
    Disk {
        /// `stored`, `read`, `written`, `listed` or `deleted`.
        action: &'static str,
        /// What failed.
        why: String,
    },
}

/// A stored archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was stored.
    pub modified: Timestamp,
}

/// What a storage holds, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of archives.
    pub archives: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The archives there are, wherever they are kept.
#[derive(Clone, Debug)]
pub enum Archives {
    /// On this machine.
    Here(Storage),
    /// Behind a storage service.
    Remote(RemoteStorage),
}

impl From<Storage> for Archives {
    fn from(storage: Storage) -> Self {
        Self::Here(storage)
    }
}

impl From<RemoteStorage> for Archives {
    fn from(storage: RemoteStorage) -> Self {
        Self::Remote(storage)
    }
}

impl Archives {
    /// Stores a file from its beginning; returns its id and the lower-case hex of its sha256.
    pub async fn put_file(&self, file: std::fs::File) -> Result<(String, String), StorageError> {
        match self {
            Self::Here(storage) => put_file(storage, file).await,
            Self::Remote(storage) => storage.put_file(file).await,
        }
    }
}

/// The archives of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: LocalFileSystem,
    dir: PathBuf,
    options: Options,
    archives: AtomicU64,
    bytes: AtomicU64,
}

impl Storage {
    /// Opens the storage in `dir`, making it if needed, and removes what uploads cut off by a crash left behind.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, StorageError> {
        let dir = dir.as_ref().to_owned();
        let failed = |why: String| StorageError::Open { dir: dir.clone(), why };
        std::fs::create_dir_all(dir.join(FOLDER)).map_err(|error| failed(error.to_string()))?;
        let usage = sweep(&dir.join(FOLDER)).map_err(|error| failed(error.to_string()))?;
        let files = LocalFileSystem::new_with_prefix(&dir).map_err(|error| failed(error.to_string()))?.with_fsync(true);
        let (archives, bytes) = (AtomicU64::new(usage.archives), AtomicU64::new(usage.bytes));
        Ok(Self { shared: Arc::new(Shared { files, dir, options, archives, bytes }) })
    }

    /// The limits in force.
    pub fn options(&self) -> Options {
        self.shared.options
    }

    /// How much is stored.
    pub fn usage(&self) -> Usage {
        Usage {
            archives: self.shared.archives.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }

    /// Stores an archive that arrives piece by piece; returns its id. Nothing is kept if the stream breaks off or the
    /// future is dropped.
    pub async fn put<S, E>(&self, content: S) -> Result<String, StorageError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        self.put_of(None, content).await
    }

    /// The same for an archive that belongs to a namespace.
    pub async fn put_of<S, E>(&self, namespace: Option<&str>, content: S) -> Result<String, StorageError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        let name = Uuid::new_v4();
        let id = match namespace {
            Some(namespace) => format!("{FOLDER}/{TENANTS}/{namespace}/{name}"),
            None => format!("{FOLDER}/{name}"),
        };
        let location = ObjectPath::from(id.as_str());
        let mut upload =
            self.shared.files.put_multipart(&location).await.map_err(|error| self.failed("stored", error))?;
        match self.write(upload.as_mut(), content).await {
            Ok(size) => {
                self.shared.archives.fetch_add(1, Ordering::Relaxed);
                self.shared.bytes.fetch_add(size, Ordering::Relaxed);
                Ok(id)
            }
            Err(error) => {
                // Closing first, then removing by name: a failed `complete` or `abort` leaves the staged file there.
                let _ = upload.abort().await;
                drop(upload);
                self.remove_staged(&id).await;
                Err(error)
            }
        }
    }

    /// Stores an archive that is in memory; returns its id.
    pub async fn put_bytes(&self, content: Bytes) -> Result<String, StorageError> {
        self.put(futures_util::stream::iter([Ok::<_, std::convert::Infallible>(content)])).await
    }

    async fn write<S, E>(&self, upload: &mut dyn MultipartUpload, content: S) -> Result<u64, StorageError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        let max = self.shared.options.max_archive_bytes;
        let (mut size, mut pending) = (0u64, Vec::new());
        pin_mut!(content);
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|error| StorageError::Incomplete { why: error.to_string() })?;
            size += piece.len() as u64;
            if size > max {
                return Err(StorageError::TooLarge { max });
            }
            pending.extend_from_slice(&piece);
            if pending.len() >= WRITE_BYTES {
                let part = std::mem::take(&mut pending);
                upload.put_part(part.into()).await.map_err(|error| self.failed("stored", error))?;
            }
        }
        upload.put_part(pending.into()).await.map_err(|error| self.failed("stored", error))?;
        upload.complete().await.map_err(|error| self.failed("stored", error))?;
        Ok(size)
    }

    /// Removes what a failed upload left. What cannot be removed now is removed by the next [`Self::open`].
    async fn remove_staged(&self, id: &str) {
        let (folder, name) = id.rsplit_once('/').unwrap_or((FOLDER, id));
        let (folder, staged) = (self.shared.dir.join(folder), format!("{name}#"));
        let remove = move || -> io::Result<()> {
            for file in std::fs::read_dir(folder)? {
                let file = file?;
                if file.file_name().to_string_lossy().starts_with(&staged) {
                    std::fs::remove_file(file.path())?;
                }
            }
            Ok(())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(remove).await {
            tracing::warn!(%error, id, "what a failed upload left could not be removed");
        }
    }

    /// The file of an archive, for reading on this machine. Never write to it.
    pub async fn path(&self, id: &str) -> Result<PathBuf, StorageError> {
        self.stored(id).await?;
        Ok(self.shared.dir.join(id))
    }

    /// Size and age of an archive.
    pub async fn stored(&self, id: &str) -> Result<Stored, StorageError> {
        let location = location(id)?;
        let meta = self.shared.files.head(&location).await.map_err(|error| self.missing_or("read", id, error))?;
        stored(meta)
    }

    /// The content of an archive, and its size.
    pub async fn get(&self, id: &str) -> Result<(u64, BoxStream<'static, io::Result<Bytes>>), StorageError> {
        let location = location(id)?;
        let found = self.shared.files.get(&location).await.map_err(|error| self.missing_or("read", id, error))?;
        Ok((found.meta.size, found.into_stream().map_err(io::Error::other).boxed()))
    }

    /// All archives, in no order.
    pub async fn list(&self) -> Result<Vec<Stored>, StorageError> {
        let folder = ObjectPath::from(FOLDER);
        let listing = self.shared.files.list(Some(&folder)).map_err(|error| self.failed("listed", error));
        let all: Vec<_> = listing.try_collect().await?;
        // Files somebody else put there are not archives and are left alone.
        all.into_iter().filter(|meta| location(meta.location.as_ref()).is_ok()).map(stored).collect()
    }

    /// Deletes an archive.
    pub async fn delete(&self, id: &str) -> Result<(), StorageError> {
        let size = self.stored(id).await?.size;
        let location = location(id)?;
        self.shared.files.delete(&location).await.map_err(|error| self.missing_or("deleted", id, error))?;
        self.shared.archives.fetch_sub(1, Ordering::Relaxed);
        self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
        Ok(())
    }

    fn missing_or(&self, action: &'static str, id: &str, error: object_store::Error) -> StorageError {
        match error {
            object_store::Error::NotFound { .. } => StorageError::NotFound { id: id.to_owned() },
            error => self.failed(action, error),
        }
    }

    fn failed(&self, action: &'static str, error: object_store::Error) -> StorageError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if let Some(io) = current.downcast_ref::<io::Error>()
                && matches!(
                    io.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
                )
            {
                return StorageError::DiskFull { dir: self.shared.dir.clone() };
            }
            cause = current.source();
        }
        StorageError::Disk { action, why: error.to_string() }
    }
}

/// Where a stored archive is found, in the words every home of the platform understands.
pub fn url_of(id: &str) -> String {
    format!("http://storagesvc.fission/v1/archive?id={}", id.replace('/', "%2F"))
}

/// Stores a file from its beginning; returns its id and the lower-case hex of its sha256.
async fn put_file(storage: &Storage, file: std::fs::File) -> Result<(String, String), StorageError> {
    let mut file = tokio::fs::File::from_std(file);
    let incomplete = |error: io::Error| StorageError::Incomplete { why: error.to_string() };
    file.rewind().await.map_err(incomplete)?;
    let (digest, reading) =
        (std::sync::Mutex::new(Context::new(&SHA256)), ReaderStream::with_capacity(file, WRITE_BYTES));
    let digested = reading.inspect_ok(|piece| digest.lock().unwrap_or_else(PoisonError::into_inner).update(piece));
    let id = storage.put(digested).await?;
    let digest = digest.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    Ok((id, crate::source::hex(digest.as_ref())))
}

/// The place of an archive. Only ids this service made are looked up at all, so no id reaches another file.
fn location(id: &str) -> Result<ObjectPath, StorageError> {
    let name = id.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let name = match owner(id) {
        Some(namespace) => &name[TENANTS.len() + namespace.len() + 2..],
        None => name,
    };
    if is_name(name) { Ok(ObjectPath::from(id)) } else { Err(StorageError::NotFound { id: id.to_owned() }) }
}

/// The namespace an archive belongs to; none if it is everybody's.
pub(crate) fn owner(id: &str) -> Option<&str> {
    let rest = id.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_prefix(TENANTS)?.strip_prefix('/')?;
    let (namespace, _) = rest.split_once('/')?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!namespace.is_empty() && namespace.bytes().all(plain)).then_some(namespace)
}

/// Whether a file may have this name: exactly what [`Storage::put_of`] makes.
fn is_name(name: &str) -> bool {
    Uuid::try_parse(name).is_ok_and(|uuid| name == uuid.to_string())
}

fn stored(meta: object_store::ObjectMeta) -> Result<Stored, StorageError> {
    let modified = Timestamp::try_from(SystemTime::from(meta.last_modified))
        .map_err(|error| StorageError::Disk { action: "read", why: error.to_string() })?;
    Ok(Stored { id: meta.location.to_string(), size: meta.size, modified })
}

/// Removes staged uploads (`<uuid>#<n>`) and counts what is there.
fn sweep(folder: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if is_name(&name) {
            usage.archives += 1;
            usage.bytes += file.metadata()?.len();
        } else if name.split_once('#').is_some_and(|(id, _)| Uuid::try_parse(id).is_ok()) {
            std::fs::remove_file(file.path())?;
        } else if name == TENANTS {
            for namespace in std::fs::read_dir(file.path())? {
                let of_one = sweep(&namespace?.path())?;
                usage.archives += of_one.archives;
                usage.bytes += of_one.bytes;
            }
        }
    }
    Ok(usage)
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
