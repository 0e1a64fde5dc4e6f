//! `fission controller`: one address for those who have no other. It passes requests on to the Kubernetes API with the
//! caller's own token, never with this process's, and, for callers the cluster lets, to the platform's services.
//!
//! [`paths`] says what of the API is passed on, [`services`] what lies beside it, [`access`] asks what callers may do,
//! [`upstream`] passes on, [`spool`] holds bodies that are signed.

mod access;
mod paths;
mod services;
mod spool;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use fission_kubernetes::options::InternalSecret;
use fission_package::storage::FORM_OVERHEAD_BYTES;
use fission_rpc::namespaces::Namespaces;
use http::{HeaderValue, Request, Response, StatusCode, header};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connections;
use super::context::{self, Context};
use access::Access;
use upstream::Upstream;

/// Where it listens.
const PORT: u16 = 8888;
/// How long requests are still taken after the end was asked for: until everybody knows that others serve now.
const LINGER: Duration = Duration::from_secs(5);
/// Most namespaces that are tried for a caller who names none.
const TRIED: usize = 32;

/// Runs until told to end.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("controller").await?;
    context.serve_health(Registry::default()).await?;
    let config = kube::Config::infer().await.context("this is no cluster, and there is no kubeconfig")?;
    let api = Upstream::cluster(&config)?;
    let services = Services::of(&context.settings.install_namespace)?;
    let secret = context.secret(false).await?;
    let controller = Arc::new(Controller {
        access: Access::new(api.clone()),
        api,
        services,
        secret,
        namespaces: context.namespaces.clone(),
        default_namespace: context.settings.default_namespace.clone(),
        max_archive_body: context.settings.max_archive_bytes.saturating_add(FORM_OVERHEAD_BYTES),
    });
    let router = context.health.http().merge(Router::new().fallback(answer).with_state(controller));
    let listener = context::listen(PORT).await?;
    let end = CancellationToken::new();
    let drain = context.settings.graceful_shutdown.saturating_sub(LINGER);
    let open = |stream| async { Ok(stream) };
    let serving = connections::serve(listener, open, router, end.clone(), drain);
    context.health.ready();
    let ending = async {
        context.left(LINGER).await;
        end.cancel();
    };
    tokio::join!(serving, ending);
    Ok(())
}

/// The servers of the platform.
struct Services {
    storage: Upstream,
    internal: Upstream,
    router: Upstream,
    logs: Upstream,
}

impl Services {
    fn of(namespace: &str) -> Result<Self> {
        Ok(Self {
            storage: Upstream::plain(&format!("http://storagesvc.{namespace}"))?,
            internal: Upstream::plain(&format!("http://router-internal.{namespace}:8889"))?,
            router: Upstream::plain(&format!("http://router.{namespace}"))?,
            logs: Upstream::plain(&format!("http://logs.{namespace}"))?,
        })
    }
}

/// What answers.
struct Controller {
    api: Upstream,
    services: Services,
    access: Access,
    secret: InternalSecret,
    namespaces: watch::Receiver<Namespaces>,
    default_namespace: String,
    max_archive_body: u64,
}

impl Controller {
    /// Namespaces that may be meant by a caller who names none, the default one first.
    fn candidates(&self) -> Vec<String> {
        let known = self.namespaces.borrow().names().cloned().unwrap_or_default();
        let others = known.into_iter().filter(|namespace| *namespace != self.default_namespace);
        std::iter::once(self.default_namespace.clone()).chain(others).take(TRIED).collect()
    }
}

async fn answer(State(controller): State<Arc<Controller>>, request: Request<Body>) -> Response<Body> {
    let Some(token) = token_of(&request).map(str::to_owned) else {
        return unauthorized("this address needs the token of somebody the cluster knows");
    };
    let path = request.uri().path();
    if let Some(service) = services::at(path) {
        return services::answer(&controller, service, &token, request).await;
    }
    if let Err(why) = paths::check(request.method(), path) {
        return refusal(StatusCode::FORBIDDEN, &why);
    }
    match controller.api.pass(request).await {
        Ok(answer) => answer,
        Err(error) => refusal(StatusCode::BAD_GATEWAY, &format!("the cluster's API server at {error}")),
    }
}

fn token_of(request: &Request<Body>) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// 401, and how to get a token.
fn unauthorized(why: &str) -> Response<Body> {
    let how = "get one with: kubectl create token SERVICEACCOUNT --namespace NAMESPACE (on OpenShift: oc whoami -t), \
               and give it to fission as FISSION_TOKEN=TOKEN, to others as the header Authorization: Bearer TOKEN";
    let mut response = refusal(StatusCode::UNAUTHORIZED, &format!("{why}; {how}"));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fission\""));
    response
}

/// An error, as every client of Kubernetes reads it.
fn refusal(code: StatusCode, message: &str) -> Response<Body> {
    let reason = match code {
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
        StatusCode::BAD_GATEWAY => "ServiceUnavailable",
        code if code.is_client_error() => "BadRequest",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The innermost cause of an error, which is what a person can act on.
fn root_of(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(below) = error.source() {
        error = below;
    }
    error.to_string()
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
