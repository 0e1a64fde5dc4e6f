//! The platform's own services beside the Kubernetes API, as one machine has them at one address: archives, functions by
//! name, logs. Callers are checked by what the cluster lets them do; the request is then signed as the platform's own.

use axum::body::Body;
use fission_rpc::signing::{self, Key};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::Timestamp;

use super::access::{Verdict, Wish};
use super::spool::spool;
use super::upstream::{NoAnswer, Upstream};
use super::{Controller, refusal, unauthorized};

/// Header that says for which namespace an archive is; the parameter `namespace` says the same.
const NAMESPACE: &str = "x-fission-namespace";
/// Start of the paths of functions.
const FUNCTIONS: &str = "/fission-function/";
/// Namespace of functions named without one; the router's.
const DEFAULT: &str = "default";
/// Largest body of a request to a function; the router's.
const MAX_FUNCTION_BODY: u64 = 64 << 20;

/// A service, by the path it is asked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Archives,
    Functions,
    Version,
    Logs,
}

/// The service at a path, if it is one's.
pub(super) fn at(path: &str) -> Option<Service> {
    match path {
        "/v1/archive" => Some(Service::Archives),
        "/_version" => Some(Service::Version),
        "/fission/v1/logs" => Some(Service::Logs),
        path if path.starts_with(FUNCTIONS) => Some(Service::Functions),
        _ => None,
    }
}

/// Answers a request to a service.
pub(super) async fn answer(
    controller: &Controller,
    service: Service,
    token: &str,
    request: Request<Body>,
) -> Response<Body> {
    let answered = match service {
        Service::Archives => archives(controller, token, request).await,
        Service::Functions => functions(controller, token, request).await,
        Service::Logs => logs(controller, token, request).await,
        Service::Version => pass(&controller.services.router, "router", bare(request)).await,
    };
    answered.unwrap_or_else(|refused| *refused)
}

/// The answer that ends a request here.
type Refused = Box<Response<Body>>;

fn refused(code: StatusCode, why: &str) -> Refused {
    Box::new(refusal(code, why))
}

async fn archives(controller: &Controller, token: &str, request: Request<Body>) -> Result<Response<Body>, Refused> {
    let verb = match *request.method() {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::DELETE => "delete",
        _ => return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "archives know GET, HEAD, POST and DELETE")),
    };
    let id = parameter(&request, "id").map(|id| id.replace("%2F", "/").replace("%2f", "/"));
    let header = request.headers().get(NAMESPACE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let named = header.or_else(|| parameter(&request, "namespace")).filter(|namespace| !namespace.is_empty());
    let named = named.or_else(|| id.as_deref().and_then(owner_of).map(str::to_owned));
    let everywhere = Wish::of_ours(verb, "packages", "");
    let tenant = match named {
        // Who may see all of them has all of them listed.
        Some(_) if verb == "get" && id.is_none() && may(controller, token, &everywhere).await? => None,
        Some(namespace) => {
            demand(controller, token, &Wish::of_ours(verb, "packages", &namespace)).await?;
            Some(namespace)
        }
        None if may(controller, token, &everywhere).await? => None,
        None => somewhere(controller, token, verb).await?,
    };
    let key = controller.secret.key(signing::STORAGE, tenant.as_deref());
    let signer = Signer { key, tenant, most: controller.max_archive_body };
    signer.pass(&controller.services.storage, "storage service", request).await
}

/// The namespace an archive's id says it belongs to; ids of those that belong to nobody in particular say none.
fn owner_of(id: &str) -> Option<&str> {
    let mut parts = id.split('/').skip_while(|part| *part != "_tenant_").skip(1);
    parts.next().filter(|namespace| is_name(namespace))
}

/// The namespace of the platform's where a caller who names none may do something with packages. An archive that is
/// stored by somebody with several of them is nobody's in particular: a package of any of them may name it then.
async fn somewhere(controller: &Controller, token: &str, verb: &'static str) -> Result<Option<String>, Refused> {
    let candidates = controller.candidates();
    let mut may_in = Vec::new();
    for namespace in &candidates {
        if may(controller, token, &Wish::of_ours(verb, "packages", namespace)).await? {
            may_in.push(namespace);
        }
    }
    match may_in.as_slice() {
        [] => {
            let first = candidates.first().map_or(DEFAULT, String::as_str);
            let wish = Wish::of_ours(verb, "packages", first);
            let why =
                format!("archives take {wish}, which you may not do; name another namespace by the header {NAMESPACE}");
            Err(refused(StatusCode::FORBIDDEN, &why))
        }
        [_, _, ..] if verb == "create" => Ok(None),
        [first, ..] => Ok(Some((*first).clone())),
    }
}

async fn functions(
    controller: &Controller,
    token: &str,
    mut request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let rest = request.uri().path().strip_prefix(FUNCTIONS).unwrap_or_default().to_owned();
    let (first, after_first) = split(&rest);
    let (second, _) = split(after_first.strip_prefix('/').unwrap_or_default());
    let (name, second_name) = (plain(first), plain(second));
    if !is_name(name) {
        return Err(refused(StatusCode::NOT_FOUND, "functions are at /fission-function/[NAMESPACE/]NAME"));
    }
    // The router takes the longer of two readings if there is such a function, so only a function that is there and
    // that the caller may see decides for that one. The other reading is written out, so that it is the only one.
    let longer = is_name(second_name) && judged(controller.access.sees(token, name, second_name).await)?;
    if !longer {
        let wish = Wish { name: name.to_owned(), ..Wish::of_ours("get", "functions", DEFAULT) };
        demand(controller, token, &wish).await?;
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{FUNCTIONS}{DEFAULT}/{rest}{query}");
        *request.uri_mut() = uri.parse().map_err(|_| refused(StatusCode::BAD_REQUEST, "this is no path"))?;
    }
    let key = controller.secret.key(signing::ROUTER_INTERNAL, None);
    let signer = Signer { key, tenant: None, most: MAX_FUNCTION_BODY };
    signer.pass(&controller.services.internal, "router", request).await
}

async fn logs(controller: &Controller, token: &str, request: Request<Body>) -> Result<Response<Body>, Refused> {
    let namespace = parameter(&request, "namespace").unwrap_or_default();
    let wish = Wish { verb: "get", group: "", resource: "pods", subresource: "log", namespace, name: String::new() };
    demand(controller, token, &wish).await?;
    let key = controller.secret.key(fission_rpc::signing::LOGS, None);
    Signer { key, tenant: None, most: 0 }.pass(&controller.services.logs, "log store", request).await
}

/// How a request is signed.
struct Signer {
    key: Key,
    /// The namespace the key is of.
    tenant: Option<String>,
    /// Bytes of a body.
    most: u64,
}

impl Signer {
    /// Signs a request and passes it on.
    async fn pass(self, service: &Upstream, name: &str, request: Request<Body>) -> Result<Response<Body>, Refused> {
        let (parts, body) = bare(request).into_parts();
        let body = spool(body, self.most).await.map_err(|(code, why)| refused(code, &why))?;
        let mut request = Request::from_parts(parts, Body::empty());
        let uri = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let now = Timestamp::now().as_second();
        let signed = signing::sign_digest(&self.key, request.method().as_str(), uri, body.digest.as_ref(), now);
        let fields = [
            (signing::TIMESTAMP_HEADER, Some(signed.timestamp)),
            (signing::SIGNATURE_HEADER, Some(signed.signature)),
            (signing::NAMESPACE_HEADER, self.tenant),
        ];
        for (field, value) in fields {
            let Some(value) = value else { continue };
            let value = value.parse().map_err(|_| refused(StatusCode::BAD_REQUEST, "this is no namespace"))?;
            request.headers_mut().insert(field, value);
        }
        if body.size > 0 {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.size));
            *request.body_mut() = body.into_body();
        }
        pass(service, name, request).await
    }
}

/// Without what is between the caller and this process: its token, and signatures of its own making.
fn bare(mut request: Request<Body>) -> Request<Body> {
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::CONTENT_LENGTH);
    for field in [signing::TIMESTAMP_HEADER, signing::SIGNATURE_HEADER, signing::NAMESPACE_HEADER, NAMESPACE] {
        headers.remove(field);
    }
    request
}

async fn pass(service: &Upstream, name: &str, request: Request<Body>) -> Result<Response<Body>, Refused> {
    let said = |error: NoAnswer| {
        // As from a server that has none of it, so that a command line goes on to the next way.
        let code = if name == "log store" && error.unreached { StatusCode::NOT_FOUND } else { StatusCode::BAD_GATEWAY };
        refused(code, &format!("the {name} of the platform: {error}"))
    };
    service.pass(request).await.map_err(said)
}

async fn may(controller: &Controller, token: &str, wish: &Wish) -> Result<bool, Refused> {
    judged(controller.access.may(token, wish).await)
}

async fn demand(controller: &Controller, token: &str, wish: &Wish) -> Result<(), Refused> {
    match may(controller, token, wish).await? {
        true => Ok(()),
        false => Err(refused(StatusCode::FORBIDDEN, &format!("this takes {wish}, which you may not do"))),
    }
}

fn judged(verdict: Result<Verdict, String>) -> Result<bool, Refused> {
    match verdict {
        Ok(Verdict::Yes) => Ok(true),
        Ok(Verdict::No) => Ok(false),
        Ok(Verdict::Unknown) => Err(Box::new(unauthorized("the cluster does not know this token; it may have ended"))),
        Err(why) => Err(refused(StatusCode::BAD_GATEWAY, &format!("what you may do cannot be found out: {why}"))),
    }
}

/// The value of a parameter that needs no decoding, as names of namespaces do not.
fn parameter(request: &Request<Body>, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The first part of a path, and what follows it with its `/`.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

/// A function's name without `:alias` or `:version`.
fn plain(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

/// Whether this can be the name of a namespace or function, and nothing else in a path.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}
