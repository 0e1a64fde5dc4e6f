//! What runs beside the environment in each pod: fetches the code, writes secrets and config maps, and has the environment
//! load the function. The only part of a pod that holds a token and keys.
//!
//! It lives in a pod whose other containers run a stranger's code: what is below the shared directories is hostile, and is
//! only written to at names that were not there.

mod configure;
mod load;
mod place;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use fission_api::Package;
use fission_rpc::code::{CodeError, CodeSource};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::wire::{FetchRequest, SpecializeRequest};

/// Header of a failure: who failed.
const COMPONENT: &str = "x-fission-component";
/// Pause before the environment is looked for again.
const LISTENING: Duration = Duration::from_millis(50);

/// Where things are in a pod.
#[derive(Clone, Debug)]
pub struct Places {
    /// Code. `/userfunc`.
    pub userfunc: PathBuf,
    /// Secrets. `/secrets`.
    pub secrets: PathBuf,
    /// Config maps. `/configs`.
    pub configs: PathBuf,
    /// Where the environment listens. `127.0.0.1:8888`.
    pub environment: String,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            userfunc: "/userfunc".into(),
            secrets: "/secrets".into(),
            configs: "/configs".into(),
            environment: format!("127.0.0.1:{}", crate::template::RUNTIME_PORT),
        }
    }
}

/// A failure, and who is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Status of the answer.
    pub status: u16,
    /// `fetcher`, or `function` where the environment refused the code.
    pub component: &'static str,
    /// For the user.
    pub message: String,
}

impl Failure {
    fn fetcher(status: u16, message: impl Into<String>) -> Self {
        Self { status, component: "fetcher", message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(COMPONENT, self.component)], self.message).into_response()
    }
}

/// The sidecar. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    /// Made before anyone waits for it.
    http: reqwest::Client,
    code: Arc<dyn CodeSource>,
    places: Places,
    ready: watch::Sender<bool>,
    whose: Mutex<Whose>,
}

/// Which function a pod was told to load, as whoever asked named it: uid and generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Whose {
    #[default]
    Nobodys,
    Loads(String),
    Has(String),
}

impl Fetcher {
    /// A sidecar that reads objects through `client` and code from `code`. It is ready when [`Self::specialize`] or
    /// [`Self::environment_listens`] has succeeded.
    pub fn new(client: Client, code: Arc<dyn CodeSource>, places: Places) -> Result<Self, reqwest::Error> {
        let (http, ready) = (fission_rpc::signed::client().build()?, watch::Sender::new(false));
        Ok(Self { inner: Arc::new(Inner { client, http, code, places, ready, whose: Mutex::default() }) })
    }

    /// Everything it serves, unsigned: put a [`fission_rpc::signed::Verifier`] before it.
    pub fn http(&self) -> Router {
        Router::new()
            .route("/specialize", post(specialize))
            .route("/healthz", any(|| async { StatusCode::OK }))
            .route("/readiness-healthz", any(ready))
            .with_state(self.clone())
    }

    /// What an environment may say without a signature, from inside the pod only: that its first connection came, and
    /// that its last one went.
    pub fn events(&self) -> Router {
        Router::new()
            .route("/wsevent/start", get(|| async { StatusCode::OK }))
            .route("/wsevent/end", get(|| async { StatusCode::OK }))
    }

    /// Waits until the environment listens, so that a generic pod is ready only when it can load a function at once.
    pub async fn environment_listens(&self) {
        while tokio::net::TcpStream::connect(&self.inner.places.environment).await.is_err() {
            tokio::time::sleep(LISTENING).await;
        }
        self.inner.ready.send_replace(true);
    }

    /// Fetches, configures and loads a function. Until it succeeds, a pod made for one function is not ready.
    pub async fn specialize(&self, request: &SpecializeRequest) -> Result<(), Failure> {
        let inner = &self.inner;
        let fetching = inner.fetch(&request.fetch);
        let configuring = async {
            match &request.function {
                None => Ok(Default::default()),
                Some(function) => configure::configure(&inner.client, &inner.places, function).await,
            }
        };
        let ((), variables) = tokio::try_join!(fetching, configuring)?;
        load::load(&inner.http, &inner.places.environment, &request.load, &variables).await?;
        inner.ready.send_replace(true);
        Ok(())
    }

    /// The same for whoever comes first: of several executors that take a pod, this is what decides. Who repeats a request
    /// that was done is told so; who asks for another function is refused with 409.
    async fn specialize_once(&self, request: &SpecializeRequest) -> Result<(), Failure> {
        let asked = request.load.metadata.as_ref().map(|function| {
            format!("{} {}", function.uid.as_deref().unwrap_or_default(), function.generation.unwrap_or_default())
        });
        let asked = asked.unwrap_or_default();
        let whose = || self.inner.whose.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut whose = whose();
            match &*whose {
                Whose::Nobodys => *whose = Whose::Loads(asked.clone()),
                Whose::Has(function) if *function == asked => return Ok(()),
                Whose::Has(_) => return Err(Failure::fetcher(409, "this pod serves another function")),
                Whose::Loads(_) => return Err(Failure::fetcher(409, "this pod loads a function for another executor")),
            }
        }
        let outcome = self.specialize(request).await;
        *whose() = match &outcome {
            Ok(()) => Whose::Has(asked),
            // Nothing was loaded: whoever asked tries again, or ends the pod.
            Err(_) => Whose::Nobodys,
        };
        outcome
    }
}

async fn specialize(State(fetcher): State<Fetcher>, Json(request): Json<SpecializeRequest>) -> Result<(), Failure> {
    let outcome = fetcher.specialize_once(&request).await;
    if let Err(failure) = &outcome {
        tracing::warn!(status = failure.status, component = failure.component, failure.message, "not specialized");
    }
    outcome
}

async fn ready(State(fetcher): State<Fetcher>) -> StatusCode {
    if *fetcher.inner.ready.borrow() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

impl Inner {
    /// Puts the code of a package where the environment finds it. What is there already stays.
    async fn fetch(&self, request: &FetchRequest) -> Result<(), Failure> {
        if !place::is_plain_name(&request.filename) {
            return Err(Failure::fetcher(400, format!("{:?} is no name of a file in a directory", request.filename)));
        }
        let target = self.places.userfunc.join(&request.filename);
        if target.symlink_metadata().is_ok() {
            return Ok(());
        }
        let package = self.package(request).await?;
        let code = self.code.code(&package, request.keeparchive).await.map_err(|error| {
            let status = if matches!(error, CodeError::Unusable { .. }) { 400 } else { 500 };
            Failure::fetcher(status, error.to_string())
        })?;
        let placed = tokio::task::spawn_blocking(move || place::place(&code.path, &target)).await;
        let placed = placed.unwrap_or_else(|error| Err(error.into()));
        placed.map_err(|error| Failure::fetcher(500, format!("the code could not be written: {error}")))
    }

    /// The package, as the executor knows it or as the API server does.
    async fn package(&self, request: &FetchRequest) -> Result<Package, Failure> {
        if let Some(archive) = &request.archive {
            let mut package = Package { metadata: request.package.clone(), ..Package::default() };
            package.spec.deployment = archive.clone();
            return Ok(package);
        }
        let meta = &request.package;
        let (namespace, name) =
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let api: Api<Package> = Api::namespaced(self.client.clone(), namespace);
        match api.get(name).await {
            Ok(package) => Ok(package),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err(Failure::fetcher(404, format!("there is no package {namespace}/{name}")))
            }
            Err(error) => Err(Failure::fetcher(500, format!("package {namespace}/{name} could not be read: {error}"))),
        }
    }
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;
