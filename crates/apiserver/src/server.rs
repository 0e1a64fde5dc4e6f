//! The API server as a thing that is opened, asked and shut down.

use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response};
use fission_rpc::instances::Instances;
use fission_rpc::logs::LogReader;
use tower::Service;

use crate::http::respond::ResponseBody;
use crate::pods::Pods;
use crate::storage::{DatabaseError, FolderLock, LockError, Store, Stored};
use crate::{gc, http, registry, seed};

/// Pause before pods are brought up to what runs now, so that it does not compete with the cold start that changed it, and
/// what that changes more is shown at once. Whoever asks for pods does not wait for it.
const PODS_PAUSE: Duration = Duration::from_millis(30);

/// Where objects are kept.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In a folder, made if it does not exist.
    Disk(PathBuf),
    /// In memory; everything is forgotten when the server is dropped.
    Memory,
}

/// How to open an API server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where objects are kept.
    pub storage: Storage,
    /// Version of the platform, shown at `/version`.
    pub version: String,
    /// Largest database in pages of 8 KiB; `None` means as large as the disk.
    pub max_pages: Option<u32>,
}

impl Options {
    /// Options with no limit but the disk's.
    pub fn new(storage: Storage, version: impl Into<String>) -> Self {
        Self { storage, version: version.into(), max_pages: None }
    }
}

/// Why an API server could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder.
    #[error("the data folder {folder} is in use by process {pid}; stop it (`fission down`) or use another folder")]
    InUse {
        /// The folder.
        folder: String,
        /// The process that has it, or `unknown`.
        pid: String,
    },
    /// The folder cannot be made or written.
    #[error("the data folder {folder} cannot be used: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database cannot be read.
    #[error("the database in {folder} cannot be opened: {why}; nothing was changed, restore the folder from a copy")]
    Database {
        /// The folder.
        folder: String,
        /// What is wrong.
        why: String,
    },
    /// There is no async runtime.
    #[error("the API server must be opened inside a tokio runtime")]
    NoRuntime,
}

/// An object whose row failed its check when the database was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedObject {
    /// `plural.group`, as far as it could be read.
    pub resource: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is wrong, with the row it is in.
    pub why: String,
}

/// What all handles of one server share.
pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) version: String,
    pods: RwLock<Option<Arc<Pods>>>,
}

impl Inner {
    /// Where pods come from, once that is known.
    pub(crate) fn pods(&self) -> Option<Arc<Pods>> {
        self.pods.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings pods up to what runs now.
    pub(crate) async fn sync_pods(&self) {
        if let Some(pods) = self.pods() {
            pods.sync(&self.store).await;
        }
    }
}

/// The API server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

impl ApiServer {
    /// Opens the server. Must be called inside a tokio runtime, on which it collects garbage.
    ///
    /// # Errors
    /// When the folder is in use or cannot be written, and when the database cannot be read at all. Single damaged
    /// rows are no error: see [`ApiServer::damaged`].
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let stored =
            |resource: &registry::Resource| Stored { name: resource.qualified(), in_memory: resource.in_memory };
        let resources = registry::all().iter().map(stored).collect();
        let store = match &options.storage {
            Storage::Memory => Store::in_memory(resources, seed::objects()),
            Storage::Disk(folder) => {
                let name = folder.display().to_string();
                std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { folder: name.clone(), source })?;
                let lock = FolderLock::take(folder).map_err(|error| locked(&name, error))?;
                Store::on_disk(folder, lock, resources, seed::objects(), options.max_pages)
                    .map_err(|error| OpenError::Database { folder: name, why: words(error) })?
            }
        };
        let store = Arc::new(store);
        runtime.spawn(gc::run(Arc::downgrade(&store)));
        let server = Self { inner: Arc::new(Inner { store, version: options.version, pods: RwLock::new(None) }) };
        for damaged in server.damaged() {
            let DamagedObject { resource, namespace, name, why } = damaged;
            tracing::error!(%resource, %namespace, %name, %why, "an object is damaged on disk");
        }
        Ok(server)
    }

    /// A client of this server, in process. Must be called inside a tokio runtime.
    pub fn client(&self, namespace: &str) -> kube::Client {
        kube::Client::new(self.clone(), namespace)
    }

    /// Answers one request of a client that may do everything.
    pub async fn handle<B: http_body::Body>(&self, request: Request<B>) -> Response<ResponseBody> {
        http::answer(&self.inner, request).await
    }

    /// Says where pods and their logs come from; until then there are none. Must be called inside a tokio runtime.
    pub fn set_pods(&self, instances: Arc<dyn Instances>, logs: Arc<dyn LogReader>) {
        let mut changes = instances.changes();
        let pods = Arc::new(Pods::new(instances, logs));
        *self.inner.pods.write().unwrap_or_else(PoisonError::into_inner) = Some(pods.clone());
        let store = Arc::downgrade(&self.inner.store);
        let mut feed = self.inner.store.feed();
        let pods = Arc::downgrade(&pods);
        tokio::spawn(async move {
            loop {
                let (Some(pods), Some(store)) = (pods.upgrade(), store.upgrade()) else { return };
                pods.sync(&store).await;
                drop((pods, store));
                let changed = async {
                    let changed = changes.changed().await;
                    tokio::time::sleep(PODS_PAUSE).await;
                    changed
                };
                tokio::select! {
                    changed = changed => if changed.is_err() { return },
                    stopped = feed.wait_for(Option::is_none) => { drop(stopped); return }
                }
            }
        });
    }

    /// The objects whose rows failed their check when the database was opened. Asking for one answers 500 and names
    /// it, lists warn of it, deleting it takes the row away; everything else works.
    pub fn damaged(&self) -> Vec<DamagedObject> {
        let state = self.inner.store.read();
        let damaged = state.damaged.iter().map(|(key, damage)| DamagedObject {
            resource: registry::by_id(key.resource).map_or("unknown".to_owned(), registry::Resource::qualified),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            why: damage.why.clone(),
        });
        damaged.collect()
    }

    /// Ends all watches, commits what is queued and closes the database. Later requests are refused.
    pub async fn shutdown(self) {
        self.inner.store.stop().await;
    }

    /// The store, for tests.
    #[cfg(test)]
    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }
}

impl Service<Request<kube::client::Body>> for ApiServer {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}

fn locked(folder: &str, error: LockError) -> OpenError {
    match error {
        LockError::Held(pid) => {
            let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
            OpenError::InUse { folder: folder.to_owned(), pid }
        }
        LockError::Io(source) => OpenError::Folder { folder: folder.to_owned(), source },
    }
}

fn words(error: DatabaseError) -> String {
    match error {
        DatabaseError::Sqlite(error) => error.to_string(),
        DatabaseError::Newer(format) => format!("it has format {format}, written by a newer version of this program"),
        DatabaseError::Thread(error) => format!("its writer thread could not be started: {error}"),
        DatabaseError::Seed(refused) => format!("it cannot be written: {refused:?}"),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
