//! The ways to the services of a platform: which address or pod, and with which signature.
//!
//! In this order: the variable that names the address; the platform on this machine; the API server itself, where it
//! serves the platform's services beside the Kubernetes API; the pods of a cluster, by port-forward.

use std::sync::Arc;

use fission_rpc::signing;
use http::{HeaderMap, HeaderValue, Request};
use kube::Client;
use kube::client::Body;

use crate::cluster::secret::Found;
use crate::cluster::{self, Component, Place, Search, secret};
use crate::failure::{Doing, Failure, Outcome};
use crate::session::Session;
use crate::target::{client_for, normal_url};

/// Where the storage service is, below every address that serves it.
pub(crate) const ARCHIVES: &str = "/v1/archive";

/// A service that can be spoken to.
pub(crate) struct Door {
    pub(crate) client: Client,
    /// The service as messages name it.
    pub(crate) shown: String,
    /// Base address and token, when a body can be streamed there over plain HTTP without a signature.
    pub(crate) streams_to: Option<(String, Option<String>)>,
    key: Option<signing::Key>,
    /// What would help when the service is not reached.
    unreached: Option<String>,
    /// What would help when it refuses a request that was not signed.
    refused: Option<String>,
}

impl Door {
    fn new(client: Client, shown: impl Into<String>) -> Self {
        Self { client, shown: shown.into(), streams_to: None, key: None, unreached: None, refused: None }
    }

    fn of_url(url: &str) -> Outcome<Self> {
        let url = normal_url(url)?;
        Ok(Self {
            streams_to: url.starts_with("http://").then(|| (url.clone(), None)),
            ..Self::new(client_for(&url, None)?, url)
        })
    }

    fn of_place(api: Client, component: &Component, place: &Place) -> Self {
        let shown = format!("pod {} in namespace {}", place.pod, place.namespace);
        let hint = format!(
            "it is reached through the API server, which takes 'get' and 'create' on pods/portforward in namespace \
             {}; or name its address: {}=http://host:port",
            place.namespace, component.variable
        );
        Self { unreached: Some(hint), ..Self::new(cluster::forward::client(api, place), shown) }
    }

    /// Signs requests from now on, when there is a secret; a signed body is not streamed, as the signature covers it.
    fn signed(mut self, secret: Found, channel: &str) -> Self {
        match secret {
            Found::Secret(secret) => {
                self.key = Some(signing::Key::derive(secret.as_bytes(), channel, None));
                self.streams_to = None;
            }
            Found::Hidden(why) => {
                self.refused = Some(format!(
                    "the request was not signed, as the secret may not be read ({why}); give it with {}=SECRET",
                    secret::VARIABLE
                ));
            }
            Found::None => {
                self.refused = Some(format!(
                    "the request was not signed, as no secret was found; give it with {}=SECRET",
                    secret::VARIABLE
                ));
            }
        }
        self
    }

    /// The headers that sign a request, if it is to be signed.
    pub(crate) fn sign(&self, request: &mut Request<Body>, body: &[u8]) -> Outcome {
        let Some(key) = &self.key else { return Ok(()) };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let now = jiff::Timestamp::now().as_second();
        let signed = signing::sign(key, request.method().as_str(), &path, body, now);
        let headers: &mut HeaderMap = request.headers_mut();
        let value = |text: &str| HeaderValue::from_str(text).doing("cannot sign the request");
        headers.insert(signing::TIMESTAMP_HEADER, value(&signed.timestamp)?);
        headers.insert(signing::SIGNATURE_HEADER, value(&signed.signature)?);
        Ok(())
    }

    /// A request that did not get through.
    pub(crate) fn unreached(&self, failure: Failure) -> Failure {
        match &self.unreached {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// A request that was refused with 401 or 403.
    pub(crate) fn refused(&self, failure: Failure) -> Failure {
        match (&self.key, &self.refused) {
            (Some(_), _) => failure.hint(
                "the signature was not accepted: the secret is not the platform's, or a clock is more than a minute off",
            ),
            (None, Some(hint)) => failure.hint(hint),
            (None, None) => failure.hint("a token or a signature is wanted; see `fission check`"),
        }
    }
}

/// The router's public listener.
pub(crate) async fn router(s: &mut Session) -> Outcome<Door> {
    if let Some(address) = s.router_address().await? {
        return Door::of_url(&address);
    }
    let (client, place) = in_cluster(s, &cluster::ROUTER).await?;
    Ok(Door::of_place(client, &cluster::ROUTER, &place))
}

/// The router's internal listener.
pub(crate) async fn internal(s: &mut Session) -> Outcome<Door> {
    let channel = signing::ROUTER_INTERNAL;
    if let Some(url) = s.io.vars.get("FISSION_ROUTER_INTERNAL_URL").map(str::to_owned) {
        return Ok(Door::of_url(&url)?.signed(secret(s, None).await?, channel));
    }
    if let Some(running) = s.running().await?.filter(|running| !running.internal.is_empty()) {
        return Ok(Door::of_url(&running.internal)?.signed(secret(s, None).await?, channel));
    }
    if s.serves_platform().await? {
        let door = Door::new(s.client().await?, s.server());
        let hint = "name the address of the router's internal listener: FISSION_ROUTER_INTERNAL_URL=http://host:port";
        return Ok(Door { unreached: Some(hint.to_owned()), ..door });
    }
    let (client, place) = in_cluster(s, &cluster::ROUTER_INTERNAL).await?;
    let secret = secret(s, Some(&place)).await?;
    Ok(Door::of_place(client, &cluster::ROUTER_INTERNAL, &place).signed(secret, channel))
}

/// The storage service. Found once: a command may move many archives.
pub(crate) async fn storage(s: &mut Session) -> Outcome<Arc<Door>> {
    if let Some(door) = &s.storage {
        return Ok(door.clone());
    }
    let door = Arc::new(find_storage(s).await?);
    s.storage = Some(door.clone());
    Ok(door)
}

async fn find_storage(s: &mut Session) -> Outcome<Door> {
    if let Some(url) = s.io.vars.get("FISSION_STORAGESVC_URL").map(str::to_owned) {
        return Ok(Door::of_url(&url)?.signed(secret(s, None).await?, signing::STORAGE));
    }
    let client = s.client().await?;
    if s.serves_platform().await? {
        let streams_to = match s.target().await {
            Ok(target) => target.plain(&s.io.vars),
            Err(_) => None, // a client given from outside has no address
        };
        return Ok(Door { streams_to, ..Door::new(client, s.server()) });
    }
    let (client, place) = in_cluster(s, &cluster::STORAGE).await?;
    let secret = secret(s, Some(&place)).await?;
    Ok(Door::of_place(client, &cluster::STORAGE, &place).signed(secret, signing::STORAGE))
}

/// Where a component is in a cluster.
pub(crate) async fn in_cluster(s: &mut Session, component: &Component) -> Outcome<(Client, Place)> {
    let client = s.client().await?;
    let (installation, own) = s.search().await;
    let place = cluster::find(&client, component, Search { installation: installation.as_deref(), own: &own }).await?;
    Ok((client, place))
}

/// The secret requests are signed with: the variable's, the one of the platform on this machine, or the cluster's.
async fn secret(s: &mut Session, place: Option<&Place>) -> Outcome<Found> {
    if let Some(secret) = s.io.vars.get(secret::VARIABLE) {
        return Ok(Found::Secret(secret.to_owned()));
    }
    // An address may be all there is: no server to ask is then no failure.
    let Ok(running) = s.running().await else { return Ok(Found::None) };
    if let Some(running) = running {
        let file = running.data_dir.join(crate::running::SECRET_FILE);
        return match std::fs::read_to_string(&file) {
            Ok(secret) => Ok(Found::Secret(secret.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::None),
            Err(error) => Err(Failure::new(format_args!("cannot read {}: {error}", file.display()))),
        };
    }
    let client = s.client().await?;
    let given = s.io.vars.get("FISSION_INTERNAL_AUTH_SECRET_NAME").map(str::to_owned);
    let (installation, _) = s.search().await;
    let namespace = match (place, &installation) {
        (Some(place), _) => place.namespace.clone(),
        (None, Some(installation)) => installation.clone(),
        (None, None) => cluster::DEFAULT_INSTALLATION.to_owned(),
    };
    let named = place.and_then(|place| place.secret.as_ref());
    let read = secret::read(&client, &namespace, given.as_deref(), named).await;
    // With an address of the user's, a cluster that does not answer is no reason to give up.
    if place.is_none() { Ok(read.unwrap_or(Found::None)) } else { read }
}
