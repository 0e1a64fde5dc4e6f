//! Requests to one pod through the API server's port-forward. Nothing listens on this machine.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::api::Portforward;
use kube::client::Body;
use kube::core::{NamespaceResourceScope, ObjectMeta};
use kube::{Api, Client, Resource};
use serde::Deserialize;

use super::Place;
use crate::noun::root_of;

/// How long the API server's reason for a broken way is waited for; it comes beside the data.
const REASON_WITHIN: Duration = Duration::from_millis(500);

/// Why a request did not reach its pod.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("the API server opens no way to pod {pod} in namespace {namespace}: {why}")]
    NotOpened { pod: String, namespace: String, why: String },
    #[error("pod {pod} in namespace {namespace} does not answer on port {port}: {why}")]
    NoAnswer { pod: String, namespace: String, port: u16, why: String },
}

/// A client of what listens there. Every request opens its own way; none is opened before.
pub(crate) fn client(api: Client, place: &Place) -> Client {
    let pods: Api<Forwarded> = Api::namespaced(api, &place.namespace);
    let place = place.clone();
    let namespace = place.namespace.clone();
    Client::new(tower::service_fn(move |request| send(pods.clone(), place.clone(), request)), namespace)
}

async fn send(
    pods: Api<Forwarded>,
    place: Place,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, ForwardError> {
    let Place { namespace, pod, port, .. } = place;
    let not_opened = |why: String| ForwardError::NotOpened { pod: pod.clone(), namespace: namespace.clone(), why };
    let mut way = pods.portforward(&pod, &[port]).await.map_err(|error| not_opened(reason(&error)))?;
    let stream = way.take_stream(port).ok_or_else(|| not_opened("no stream was given".to_owned()))?;
    let said = way.take_error(port);
    let no_answer = |why: String| ForwardError::NoAnswer { pod: pod.clone(), namespace: namespace.clone(), port, why };
    let connected = http1::handshake::<_, Body>(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| no_answer(root_of(&error)))?;
    // It ends by itself when the answer was read, and with it the way.
    tokio::spawn(async move {
        let _ = connection.await;
        drop(way);
    });
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = path.parse().map_err(|error| no_answer(format!("{path}: {error}")))?;
    if !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    match sender.send_request(request).await {
        Ok(answer) => Ok(answer),
        Err(error) => {
            let said = match said {
                Some(said) => tokio::time::timeout(REASON_WITHIN, said).await.ok().flatten(),
                None => None,
            };
            Err(no_answer(said.unwrap_or_else(|| root_of(&error)).trim().to_owned()))
        }
    }
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.trim_end().to_owned(),
        other => root_of(other),
    }
}

/// A pod, of which only the address is used.
#[derive(Clone, Debug, Default, Deserialize)]
struct Forwarded {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl Portforward for Forwarded {}

impl Resource for Forwarded {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
