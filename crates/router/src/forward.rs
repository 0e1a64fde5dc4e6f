//! Sends an admitted request to its instance and brings the response back.
//!
//! A request is sent to another instance only if it certainly reached none: no connection could be made, or an idle one
//! turned out closed before anything was written. hyper hands the request back in exactly those cases.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use fission_rpc::endpoint::{Address, Lease};
use fission_rpc::refusal::{Component, Refusal};
use http::header::HOST;
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use crate::admit::admit;
use crate::body::{FunctionBody, Held, RequestBody, ResponseBody, Source, Watchdog};
use crate::functions::Backend;
use crate::router::Router;
use crate::server::Tunnels;
use crate::timing::Timing;
use crate::transport::{self, SendError, Transport};
use crate::{errors, headers, local, upgrade};

/// One request ready to be sent, but for its `Host`.
pub(crate) struct Call<'a> {
    pub(crate) router: &'a Router,
    pub(crate) backend: &'a Arc<Backend>,
    /// Set when the client wants to switch protocols.
    pub(crate) upgrade: Option<OnUpgrade>,
    pub(crate) tunnels: &'a Tunnels,
}

/// A try that brought no response.
pub(crate) enum Failed {
    /// The request reached no one and can be tried elsewhere.
    Elsewhere(Box<Request<RequestBody>>, io::Error),
    /// It may have reached someone, or no one else would do better.
    Final(Refusal),
}

impl Call<'_> {
    /// Admits and sends the request; again if it certainly reached no instance, up to the limit.
    pub(crate) async fn run(
        mut self,
        mut request: Request<RequestBody>,
        timing: &mut Timing,
    ) -> Result<Response<ResponseBody>, Refusal> {
        for _ in 1..self.router.options.max_tries {
            match self.try_once(request, timing).await {
                Ok(response) => return Ok(response),
                Err(Failed::Final(refusal)) => return Err(refusal),
                Err(Failed::Elsewhere(unsent, _)) => request = *unsent,
            }
        }
        match self.try_once(request, timing).await {
            Ok(response) => Ok(response),
            Err(Failed::Final(refusal)) => Err(refusal),
            Err(Failed::Elsewhere(_, error)) => Err(errors::unreachable(&self.backend.key, &error)),
        }
    }

    async fn try_once(
        &mut self,
        mut request: Request<RequestBody>,
        timing: &mut Timing,
    ) -> Result<Response<ResponseBody>, Failed> {
        let lease = admit(self.router, self.backend, timing).await.map_err(Failed::Final)?;
        let service = match &lease.endpoint().address {
            Address::Local(service) => Some(service.clone()),
            _ => None,
        };
        if let Some(service) = service {
            return local::send(self, &service, lease, request, timing).await;
        }
        let Some(transport) = Transport::of(lease.endpoint(), &self.router.options).cloned() else {
            return Err(Failed::Final(errors::function_error(&self.backend.key, "has an endpoint of another router")));
        };
        request.headers_mut().insert(HOST, transport.host.clone());
        let sent = timing.sends();
        let watchdog = Watchdog::start(self.backend.time_limit, sent);
        let answer = match self.upgrade.take() {
            Some(client) => upgrade::send(self, client, lease, request, watchdog).await,
            None => self.send(lease, &transport, request, watchdog).await,
        };
        timing.function = sent.elapsed();
        answer
    }

    async fn send(
        &self,
        lease: Lease,
        transport: &Arc<Transport>,
        mut request: Request<RequestBody>,
        watchdog: Watchdog,
    ) -> Result<Response<ResponseBody>, Failed> {
        loop {
            let idle = transport.take();
            let reused = idle.is_some();
            let mut link = match idle {
                Some(link) => link,
                None => {
                    let connected =
                        transport::connect(&lease.endpoint().address, self.connect_timeout(&watchdog)).await;
                    match connected {
                        Ok(link) => link,
                        Err(error) => return Err(self.elsewhere(&lease, request, error)),
                    }
                }
            };
            match transport::send(&mut link, request, watchdog.next()).await {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let what = "switched to another protocol without being asked";
                    return Err(Failed::Final(errors::function_error(&self.backend.key, what)));
                }
                Ok(response) => {
                    let held = Held { lease, link: Some((link, transport.clone())) };
                    return Ok(self.response(response.map(Source::Remote), held, watchdog));
                }
                Err(SendError::NotSent(unsent)) if reused => request = *unsent,
                Err(SendError::NotSent(unsent)) => {
                    let error = io::Error::new(io::ErrorKind::ConnectionReset, "it closed a new connection at once");
                    return Err(self.elsewhere(&lease, *unsent, error));
                }
                Err(SendError::TimedOut) => {
                    return Err(Failed::Final(errors::out_of_time(self.backend, watchdog.reason())));
                }
                Err(SendError::Closed) => return Err(Failed::Final(self.broken(&lease, None).await)),
                Err(SendError::Broken(error)) => return Err(Failed::Final(self.broken(&lease, Some(&error)).await)),
            }
        }
    }

    /// Has an instance looked at that did not work.
    fn suspect(&self, lease: &Lease) {
        let _home = self.router.workers().home().enter();
        self.router.executor.suspect(&self.backend.endpoints, lease.endpoint());
    }

    /// Never longer than the call may take as a whole.
    pub(crate) fn connect_timeout(&self, watchdog: &Watchdog) -> std::time::Duration {
        self.router.options.connect_timeout.min(watchdog.next().saturating_duration_since(Instant::now()))
    }

    /// No connection: the instance is looked at, and the request goes on.
    pub(crate) fn elsewhere(&self, lease: &Lease, request: Request<RequestBody>, error: io::Error) -> Failed {
        tracing::debug!(function = %self.backend.key, endpoint = %lease.endpoint().address, %error, "no connection");
        self.suspect(lease);
        Failed::Elsewhere(Box::new(request), error)
    }

    /// A connection that broke after the instance may have seen the request.
    pub(crate) async fn broken(&self, lease: &Lease, error: Option<&hyper::Error>) -> Refusal {
        tracing::debug!(function = %self.backend.key, endpoint = %lease.endpoint().address, ?error, "call broke");
        if error.is_some_and(|error| error.is_user() || error.is_body_write_aborted()) {
            let message = format!("the request to function {} was not sent to its end", self.backend.key);
            return Refusal::new(499, Component::Router, "client_disconnect", message);
        }
        self.suspect(lease);
        let what = error.map_or("closed the connection without answering", errors::explain);
        match self.router.workers().at_home(self.router.executor.ended(lease.endpoint())).await {
            Some(how) => errors::ended(&self.backend.key, &how),
            None => errors::function_error(&self.backend.key, what),
        }
    }

    /// A function's response as its client gets it, but for what every response gets.
    pub(crate) fn response(
        &self,
        response: Response<Source>,
        held: Held,
        watchdog: Watchdog,
    ) -> Response<ResponseBody> {
        let (mut parts, source) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers, false);
        parts.headers.remove(headers::ROUTE_MISS);
        let body = FunctionBody::new(source, held, watchdog, self.router.metrics.clone());
        Response::from_parts(parts, ResponseBody::function(body))
    }
}
