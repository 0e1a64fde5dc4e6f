//! The code of packages on this machine: fetched, checked and unpacked once, then shared by all instances.
//!
//! A call takes one of three ways: the package version was asked for before (a map, microseconds); its content is in
//! the cache under its digest; or it is fetched, and all calls for the same content wait for that one fetch.

mod cache;
mod download;
mod image;
mod origin;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use fission_api::{Archive, BuildStatus, Package};
use fission_rpc::code::{Code, CodeError, CodeSource};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::archive::{ArchiveError, UnpackLimits};
use crate::storage::Archives;
use cache::CodeCache;
pub use download::FetchLimits;
pub use image::ImageOptions;
use image::{Image, Images};
use origin::Origin;
pub(crate) use origin::{Origins, archive_id, checksum};

/// Package versions remembered; more than a machine has packages. The map starts anew when it is full.
const REMEMBERED: usize = 100_000;
/// Characters of a build log quoted when a package is refused because its build failed.
const QUOTED_LOG_CHARS: usize = 500;

/// Where fetched code is kept, and the limits of fetching it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the cache; nothing else may be in it.
    pub cache_dir: PathBuf,
    /// Bytes of code kept before unused code is removed.
    pub cache_bytes: u64,
    /// How long code must not have been asked for before it counts as unused.
    pub cache_unused_for: Duration,
    /// Limits of archives that are unpacked.
    pub unpack: UnpackLimits,
    /// Limits of downloads.
    pub fetch: FetchLimits,
    /// Limits of images.
    pub images: ImageOptions,
}

impl Options {
    /// The defaults for a cache in `cache_dir`: 4 GiB, code unused for an hour may go.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            cache_bytes: 4 << 30,
            cache_unused_for: Duration::from_secs(3600),
            unpack: UnpackLimits::default(),
            fetch: FetchLimits::default(),
            images: ImageOptions::default(),
        }
    }
}

/// The [`CodeSource`] of a machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PackageStore {
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: CodeCache,
    origins: Origins,
    images: Images,
    unpack: UnpackLimits,
    remembered: RwLock<HashMap<Asked, Remembered>>,
    under_way: Mutex<HashMap<String, Fetch>>,
}

/// Who asked and how: identity of the package, and whether an archive is kept as one file.
type Asked = (String, bool);

#[derive(Debug)]
struct Remembered {
    resource_version: String,
    code: Code,
}

/// One fetch and everybody who waits for it.
type Fetch = Shared<BoxFuture<'static, Result<Code, Failure>>>;

/// A [`CodeError`] before it is known whose: several packages may wait for the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Unusable(String),
    Unreachable(String),
}

impl PackageStore {
    /// Opens the cache. What an earlier process left unfinished is removed.
    pub fn new(options: Options, archives: impl Into<Archives>) -> io::Result<Self> {
        let cache = CodeCache::open(&options.cache_dir, options.cache_bytes, options.cache_unused_for)?;
        Ok(Self {
            shared: Arc::new(Inner {
                cache,
                origins: Origins::new(archives, options.fetch),
                images: Images::new(options.images),
                unpack: options.unpack,
                remembered: RwLock::default(),
                under_way: Mutex::default(),
            }),
        })
    }

    /// The source of a package, fetched, checked and unpacked like code. Calls for the same content coalesce.
    pub async fn source(&self, package: &Package) -> Result<Code, CodeError> {
        let name = name_of(package);
        let asked = (format!("source of {name}"), false);
        let found = self.shared.clone().find_or_fetch(package, &package.spec.source, &asked).await;
        found.map_err(|failure| failure.of(&name))
    }

    /// A file without a name on the disk that holds code; gone when it is closed.
    pub fn scratch(&self) -> io::Result<std::fs::File> {
        self.shared.cache.scratch()
    }

    /// What an archive may hold to be loaded.
    pub fn unpack_limits(&self) -> UnpackLimits {
        self.shared.unpack
    }

    /// Says that `/v1/archive` URLs of this `host` or `host:port` are this server's own, so that they are read from
    /// its storage. `storagesvc` and `storagesvc.*` always are.
    pub fn add_own_host(&self, host: impl Into<String>) {
        self.shared.origins.add_own_host(host.into());
    }

    /// Reads the secrets that images are pulled with through `client`. Without one, images with pull secrets are refused.
    pub fn read_pull_secrets_with(&self, client: kube::Client) {
        self.shared.images.read_secrets_with(client);
    }
}

#[async_trait]
impl CodeSource for PackageStore {
    async fn code(&self, package: &Package, keep_archive: bool) -> Result<Code, CodeError> {
        let name = name_of(package);
        let asked = (package.metadata.uid.clone().unwrap_or_else(|| name.clone()), keep_archive);
        let resource_version = package.metadata.resource_version.as_deref().unwrap_or_default();
        if let Some(code) = self.shared.recall(&asked, resource_version) {
            return Ok(code);
        }
        let found = async {
            let archive = deployable(package)?;
            self.shared.clone().find_or_fetch(package, archive, &asked).await
        };
        let code = found.await.map_err(|failure| failure.of(&name))?;
        self.shared.remember(asked, resource_version, &code);
        Ok(code)
    }
}

impl Failure {
    fn of(self, package: &str) -> CodeError {
        let package = package.to_owned();
        match self {
            Self::Unusable(why) => CodeError::Unusable { package, why },
            Self::Unreachable(why) => CodeError::Unreachable { package, why },
        }
    }
}

/// `namespace/name` of a package.
fn name_of(package: &Package) -> String {
    let meta = &package.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

impl Inner {
    fn recall(&self, asked: &Asked, resource_version: &str) -> Option<Code> {
        let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(asked)?;
        // Without a resource version nothing tells two contents of a package apart.
        let current = !resource_version.is_empty() && found.resource_version == resource_version;
        (current && self.cache.touch(&found.code.path)).then(|| found.code.clone())
    }

    fn remember(&self, asked: Asked, resource_version: &str, code: &Code) {
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(asked, Remembered { resource_version: resource_version.to_owned(), code: code.clone() });
    }

    async fn find_or_fetch(
        self: Arc<Self>,
        package: &Package,
        archive: &Archive,
        asked: &Asked,
    ) -> Result<Code, Failure> {
        let keep_archive = asked.1;
        let content = format!("{}@{}", asked.0, package.metadata.resource_version.as_deref().unwrap_or_default());
        if let Some(image) = &archive.oci {
            let namespace = package.metadata.namespace.clone().unwrap_or_default();
            return self.find_or_pull(Image::of(image)?, namespace, content).await;
        }
        let origin = self.origins.find(archive)?;
        let wanted = match &origin {
            Origin::Literal(bytes) => Some(hex(digest(&SHA256, bytes).as_ref())),
            Origin::Stored(_) | Origin::Url(_) => checksum(archive)?,
        };
        if let Some(digest) = &wanted
            && let Some(path) = self.cache.find(digest, keep_archive)
        {
            return Ok(Code { path, digest: digest.clone() });
        }
        let content = wanted.clone().unwrap_or(content);
        let fetch = self.clone().fetch(origin, wanted, keep_archive);
        self.join(format!("{content}/{keep_archive}"), fetch).await
    }

    /// The code of an image, which is always a folder. One that is pinned is not asked for when it is there.
    async fn find_or_pull(self: Arc<Self>, image: Image, namespace: String, content: String) -> Result<Code, Failure> {
        let pinned = image.pinned().map(|digest| image.key(digest));
        if let Some(key) = &pinned
            && let Some(path) = self.cache.find(key, false)
        {
            return Ok(Code { path, digest: key.clone() });
        }
        let key = format!("image {}", pinned.unwrap_or(content));
        self.join(key, self.clone().pull(image, namespace)).await
    }

    async fn pull(self: Arc<Self>, image: Image, namespace: String) -> Result<Code, Failure> {
        let has = |digest: &str| self.cache.find(&image.key(digest), false).is_some();
        let pulled = self.images.pull(&image, &namespace, has, || self.cache.scratch()).await?;
        let key = image.key(&pulled.digest);
        if let Some(path) = self.cache.find(&key, false) {
            return Ok(Code { path, digest: key });
        }
        let admit = move || {
            let fill = |folder: &Path| self.images.flatten(&image, pulled.layers, folder, &self.unpack);
            let path = self.cache.admit_tree(&key, fill)?;
            self.cache.trim();
            Ok(Code { path, digest: key })
        };
        let broke = |error| Failure::Unreachable(format!("its unpacking broke: {error}"));
        tokio::task::spawn_blocking(admit).await.map_err(broke)?
    }

    /// Joins the fetch of this content, or starts it. The fetch runs on although those who wait go away, so that the
    /// next one finds it done.
    fn join(
        self: &Arc<Self>,
        key: String,
        fetch: impl Future<Output = Result<Code, Failure>> + Send + 'static,
    ) -> Fetch {
        let mut under_way = self.lock_under_way();
        if let Some(fetch) = under_way.get(&key) {
            return fetch.clone();
        }
        let done = Done { inner: self.clone(), key: key.clone() };
        let task = tokio::spawn(async move {
            let _done = done;
            fetch.await
        });
        let fetch = task
            .map(|ended| ended.unwrap_or_else(|error| Err(Failure::Unreachable(format!("its fetch broke: {error}")))))
            .boxed()
            .shared();
        under_way.insert(key, fetch.clone());
        fetch
    }

    async fn fetch(
        self: Arc<Self>,
        origin: Origin,
        wanted: Option<String>,
        keep_archive: bool,
    ) -> Result<Code, Failure> {
        let file = self.cache.staging().map_err(|error| local("written", &error))?;
        let content = self.origins.content(origin, file.as_file()).await?;
        let admit = move || {
            let mut file = file;
            let found = content.write(file.as_file_mut())?;
            if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
                return Err(Failure::Unusable(format!("its sha256 is {found}, but its checksum says {wanted}")));
            }
            file.flush().map_err(|error| local("written", &error))?;
            let path = self.cache.admit(file, &found, keep_archive, &self.unpack)?;
            let trimming = self.clone();
            tokio::task::spawn_blocking(move || trimming.cache.trim());
            Ok(Code { path, digest: found })
        };
        let broke = |error| Failure::Unreachable(format!("its unpacking broke: {error}"));
        tokio::task::spawn_blocking(admit).await.map_err(broke)?
    }

    fn lock_under_way(&self) -> MutexGuard<'_, HashMap<String, Fetch>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a fetch off the list when it ends, however it ends.
struct Done {
    inner: Arc<Inner>,
    key: String,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.inner.lock_under_way().remove(&self.key);
    }
}

/// The archive instances are given, if the package is ready to be deployed. While a newer source is built, and when it
/// could not be, that is what was built before: a request does not fail because of code nobody has yet.
fn deployable(package: &Package) -> Result<&Archive, Failure> {
    let archive = &package.spec.deployment;
    if !archive.is_empty() {
        return Ok(archive);
    }
    let status = package.status.clone().unwrap_or_default();
    let why = match status.build_status {
        BuildStatus::Failed => {
            let log: String = status.build_log.chars().take(QUOTED_LOG_CHARS).collect();
            format!("its build failed: {log}")
        }
        BuildStatus::Pending | BuildStatus::Running => "it is not built yet".to_owned(),
        _ => "it has no deployment archive; give it one with --code or --deployarchive".to_owned(),
    };
    Err(Failure::Unusable(why))
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Write { .. } => Self::Unreachable(error.to_string()),
            error => Self::Unusable(error.to_string()),
        }
    }
}

fn local(action: &str, error: &io::Error) -> Failure {
    Failure::Unreachable(format!("its code could not be {action} on this machine: {error}"))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
