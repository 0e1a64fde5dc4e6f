//! One watched copy of a kind per process. The composition root makes the caches; components get read handles.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::{StreamExt, pin_mut};
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use crate::causes;
use crate::namespaces::Namespaces;

/// Changes a subscriber may fall behind before it is told to read everything again.
const CHANGES_BEHIND: usize = 4096;

/// Where `kubectl apply` keeps what it last applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a stored object.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What happened to an object.
#[derive(Debug)]
pub enum Change<K> {
    /// It was created or changed.
    Applied(Arc<K>),
    /// It was deleted; its last known state.
    Deleted(Arc<K>),
    /// More may have happened than can be told one by one: read [`Cache::list`] again.
    Reread,
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Self {
        match self {
            Change::Applied(object) => Change::Applied(object.clone()),
            Change::Deleted(object) => Change::Deleted(object.clone()),
            Change::Reread => Change::Reread,
        }
    }
}

/// A watched copy of all objects of one kind. Cheap to clone.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    /// Takes out of an object what nobody here reads.
    trim: fn(&mut K),
    objects: RwLock<HashMap<ObjectKey, Arc<K>>>,
    changes: broadcast::Sender<Change<K>>,
    synced: watch::Sender<bool>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self::trimmed(|_| {})
    }
}

impl<K> Cache<K> {
    /// A copy without what `trim` takes out of each object, for processes that keep many and read little of each.
    pub fn trimmed(trim: fn(&mut K)) -> Self {
        Self {
            shared: Arc::new(Shared {
                trim,
                objects: RwLock::default(),
                changes: broadcast::Sender::new(CHANGES_BEHIND),
                synced: watch::Sender::new(false),
            }),
        }
    }
}

impl<K> Cache<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Keeps the copy up to date until dropped. Watches that break are taken up again by themselves.
    pub async fn run(self, api: Api<K>) {
        self.watch(api, watcher::Config::default(), |cache, listing| cache.replace_all(listing)).await;
    }

    async fn watch(
        &self,
        api: Api<K>,
        config: watcher::Config,
        mut listed: impl FnMut(&Self, HashMap<ObjectKey, Arc<K>>),
    ) {
        let stream = watcher(api, config).default_backoff();
        pin_mut!(stream);
        let mut listing: HashMap<ObjectKey, Arc<K>> = HashMap::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => listing.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    listing.insert(ObjectKey::of(&object), Arc::new(self.lean(object)));
                }
                Ok(watcher::Event::InitDone) => listed(self, std::mem::take(&mut listing)),
                Ok(watcher::Event::Apply(object)) => self.apply(self.lean(object)),
                Ok(watcher::Event::Delete(object)) => self.delete(&ObjectKey::of(&object)),
                Err(error) => {
                    tracing::warn!(kind = %std::any::type_name::<K>(), error = causes(&error), "watch broke; retrying");
                }
            }
        }
    }

    /// Keeps a copy of what is in some namespaces, which may change, until dropped. `config` narrows it further. It is
    /// synced when every namespace of the beginning was listed.
    pub async fn run_in(self, client: Client, mut namespaces: watch::Receiver<Namespaces>, config: watcher::Config)
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let listed: Arc<std::sync::Mutex<HashSet<Option<String>>>> = Arc::default();
        let mut watching: HashMap<Option<String>, Watching> = HashMap::new();
        loop {
            let wanted = namespaces.borrow_and_update().scopes();
            watching.retain(|scope, _| {
                let stays = wanted.contains(scope);
                if !stays {
                    self.replace_scope(scope.as_deref(), HashMap::new());
                }
                stays
            });
            for scope in &wanted {
                if watching.contains_key(scope) {
                    continue;
                }
                let api = match scope {
                    Some(namespace) => Api::namespaced(client.clone(), namespace),
                    None => Api::all(client.clone()),
                };
                let (cache, config, listed) = (self.clone(), config.clone(), listed.clone());
                let (scope, wanted, mine) = (scope.clone(), wanted.clone(), scope.clone());
                let task = tokio::spawn(async move {
                    let complete = |cache: &Self, listing| {
                        cache.replace_scope(mine.as_deref(), listing);
                        let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
                        listed.insert(mine.clone());
                        if wanted.iter().all(|scope| listed.contains(scope)) {
                            cache.shared.synced.send_replace(true);
                        }
                    };
                    cache.watch(api, config, complete).await;
                });
                watching.insert(scope, Watching(task.abort_handle()));
            }
            if wanted.is_empty() {
                self.shared.synced.send_replace(true);
            }
            if namespaces.changed().await.is_err() {
                // Nobody changes them any more; what is watched goes on.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Drops who owns which field, and the copy of itself that `kubectl apply` puts into an object: no component asks, and
    /// they are the largest part of most objects.
    fn lean(&self, mut object: K) -> K {
        let meta = object.meta_mut();
        meta.managed_fields = None;
        if let Some(annotations) = &mut meta.annotations {
            annotations.remove(LAST_APPLIED);
        }
        (self.shared.trim)(&mut object);
        object
    }

    /// Puts a complete listing of one namespace in, or of all.
    fn replace_scope(&self, namespace: Option<&str>, listing: HashMap<ObjectKey, Arc<K>>) {
        {
            let mut objects = self.write();
            objects.retain(|key, _| namespace.is_some_and(|namespace| key.namespace != namespace));
            objects.extend(listing);
        }
        let _ = self.shared.changes.send(Change::Reread);
    }

    /// Puts one object in. Used by [`Self::run`] and by tests.
    pub fn apply(&self, object: K) {
        let object = Arc::new(object);
        self.write().insert(ObjectKey::of(object.as_ref()), object.clone());
        let _ = self.shared.changes.send(Change::Applied(object));
    }

    /// Takes one object out. Used by [`Self::run`] and by tests.
    pub fn delete(&self, key: &ObjectKey) {
        let gone = self.write().remove(key);
        if let Some(object) = gone {
            let _ = self.shared.changes.send(Change::Deleted(object));
        }
    }

    /// Puts a complete listing in and marks the cache as synced. Used by [`Self::run`] and by tests.
    pub fn replace_all(&self, objects: HashMap<ObjectKey, Arc<K>>) {
        *self.write() = objects;
        let _ = self.shared.changes.send(Change::Reread);
        self.shared.synced.send_replace(true);
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.read().get(key).cloned()
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read().values().cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the first complete listing is in.
    pub async fn synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // The sender lives as long as `self`, so this ends only by being synced.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Changes from now on. Subscribe first, then read [`Self::list`], so that nothing is missed.
    pub fn subscribe(&self) -> Changes<K> {
        Changes { receiver: self.shared.changes.subscribe() }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<ObjectKey, Arc<K>>> {
        self.shared.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<ObjectKey, Arc<K>>> {
        self.shared.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch of one namespace; dropping it ends it.
struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The changes of a cache, in order.
pub struct Changes<K> {
    receiver: broadcast::Receiver<Change<K>>,
}

impl<K> Changes<K> {
    /// The next change; `None` when the cache is gone. Says [`Change::Reread`] when this subscriber fell behind.
    pub async fn next(&mut self) -> Option<Change<K>> {
        match self.receiver.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Reread),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
