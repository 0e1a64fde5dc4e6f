//! Requests that components send: to hosts the function's owner named, and to no one else.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fission_api::labels::ALLOWED_HOSTS;
use futures_util::StreamExt;
use http::uri::Scheme;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, BodyStream};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::hosts::{AllowedHosts, Reach, may_be_at};
use crate::outputs::Printer;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take that the component sets no limit for. A function's own limit is usually shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// The HTTP clients of all components, one for each reach; made when first used.
#[derive(Default)]
pub(crate) struct Clients {
    public: OnceLock<Option<reqwest::Client>>,
    named: OnceLock<Option<reqwest::Client>>,
}

impl Clients {
    fn get(&self, reach: Reach) -> Option<reqwest::Client> {
        // An address that was named is not looked up, so it does not matter with which it is called.
        let cell = if reach == Reach::Public { &self.public } else { &self.named };
        cell.get_or_init(|| client(reach).inspect_err(|error| tracing::error!(%error, "no client")).ok()).clone()
    }
}

/// No proxy and no redirects: both would go where the list was not asked.
fn client(reach: Reach) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
    builder.dns_resolver(Arc::new(Resolver(reach))).build()
}

/// Finds addresses and leaves out those that may not be called, so that what was checked is what is connected to.
struct Resolver(Reach);

/// All addresses of a host are out of reach.
#[derive(Debug, thiserror::Error)]
#[error("{0} has only addresses that this function may not call")]
struct OutOfReach(String);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let free: Vec<SocketAddr> = found.into_iter().filter(|address| may_be_at(reach, address.ip())).collect();
            if free.is_empty() {
                return Err(OutOfReach(name.as_str().to_owned()).into());
            }
            Ok(Box::new(free.into_iter()) as Addrs)
        })
    }
}

/// What a store's component may send.
pub(crate) struct Outgoing {
    pub(crate) hosts: Arc<AllowedHosts>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) printer: Printer,
}

type Ended = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Ended), Error>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Ended,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let uri = request.uri();
        let host = uri.host().unwrap_or_default().to_owned();
        let scheme_port = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
        let Some(reach) = self.hosts.reach(&host, uri.port_u16(), scheme_port) else {
            let at = uri.authority().map_or("", |authority| authority.as_str());
            self.printer.note(&format!(
                "a request to {at} was denied: the function's annotation {ALLOWED_HOSTS} does not name it"
            ));
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let (client, printer) = (self.clients.get(reach), self.printer.clone());
        Box::new(async move {
            let Some(client) = client else { return Err(Error::InternalError(None)) };
            let answer = send(&client, request, options).await;
            answer.inspect_err(|error| {
                if matches!(error, Error::DestinationIpProhibited) {
                    printer.note(&format!(
                        "a request to {host} was denied: it has only private addresses, which a wildcard in \
                         {ALLOWED_HOSTS} does not allow; name the host itself"
                    ));
                }
            })
        })
    }
}

async fn send(client: &reqwest::Client, request: Request<WasiBody>, options: Option<RequestOptions>) -> Sent {
    let (mut parts, body) = request.into_parts();
    // The client says it of the URL, and it is the same.
    parts.headers.remove(http::header::HOST);
    let url = parts.uri.to_string();
    let mut sending = client.request(parts.method.clone(), url);
    if let Some(body) = content(&parts.method, body).await {
        sending = sending.body(body);
    }
    let limit = options.as_ref().and_then(|options| options.first_byte_timeout).unwrap_or(ANSWER_TIMEOUT);
    let answer = tokio::time::timeout(limit, sending.headers(parts.headers).send()).await;
    let answer = answer.map_err(|_| Error::HttpResponseTimeout)?.map_err(|error| explain(&error))?;
    let (parts, body) = Response::<reqwest::Body>::from(answer).into_parts();
    let body = body.map_err(|error| explain(&error)).boxed_unsync();
    Ok((Response::from_parts(parts, body), Box::new(std::future::ready(Ok(())))))
}

/// The body to send. Methods that usually have none are sent with one only when there is something in it: many servers
/// refuse an empty one.
async fn content(method: &Method, mut body: WasiBody) -> Option<reqwest::Body> {
    let mut first = None;
    if [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method) {
        first = Some(body.frame().await?);
    }
    let rest = BodyStream::new(body);
    let frames = futures_util::stream::iter(first).chain(rest);
    let data = frames.filter_map(|frame| async move {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok::<Bytes, std::io::Error>),
            Err(error) => Some(Err(std::io::Error::other(error.to_string()))),
        }
    });
    Some(reqwest::Body::wrap_stream(data))
}

fn explain(error: &reqwest::Error) -> Error {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<OutOfReach>() {
            return Error::DestinationIpProhibited;
        }
        source = cause.source();
    }
    if error.is_timeout() && error.is_connect() {
        Error::ConnectionTimeout
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_connect() {
        Error::ConnectionRefused
    } else if error.is_builder() {
        Error::HttpRequestUriInvalid
    } else {
        Error::HttpProtocolError
    }
}
