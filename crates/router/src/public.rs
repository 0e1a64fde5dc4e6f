//! The public listener: the router's own few paths, and the routes of triggers.

use fission_rpc::refusal::Refusal;
use http::header::{ALLOW, CONTENT_TYPE, ORIGIN};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;

use crate::body::{RequestBody, ResponseBody};
use crate::call::{self, Caller, Outgoing};
use crate::cors::{self, Cors};
use crate::router::Router;
use crate::routes::route::{Chosen, Route};
use crate::routes::table::Found;
use crate::timing::Timing;
use crate::{errors, headers, path};

/// Below this path are functions without a route, on the internal listener only.
const INTERNAL: &str = "/fission-function";

/// Answers one public request.
pub(crate) async fn answer(
    router: &Router,
    caller: &Caller<'_>,
    request: Request<Incoming>,
    timing: &mut Timing,
) -> Response<ResponseBody> {
    let raw_path = request.uri().path();
    if let Some(own) = own_path(router, request.method(), raw_path) {
        return own;
    }
    let refuse = |refusal: Refusal| errors::response(&refusal, &caller.request_id);
    let host = headers::host(request.uri(), request.headers());
    let missing = || refuse(errors::no_route(request.method(), host, raw_path));
    let internal = raw_path.strip_prefix(INTERNAL).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let decoded = match path::decode(raw_path) {
        Some(decoded) if !internal => decoded,
        _ => return missing(),
    };
    let found = {
        let table = router.table.load();
        let bare_host = if table.has_hosts() { headers::bare_host(host) } else { String::new() };
        if let Some(wanted) = cors::preflight_method(request.method(), request.headers())
            && let Found::Route(route, _) = table.find(&bare_host, &decoded, &wanted)
            && let Some(cors) = &route.cors
        {
            return preflight(cors, &request);
        }
        table.find(&bare_host, &decoded, request.method())
    };
    match found {
        Found::Route(route, chosen) => {
            if let (Some(_), Some(cors)) =
                (cors::preflight_method(request.method(), request.headers()), route.cors.as_ref())
            {
                return preflight(cors, &request);
            }
            timing.route = timing.start.elapsed();
            call_route(router, caller, &route, &chosen, request, timing).await
        }
        Found::OtherMethods(methods) => {
            let allowed = methods.listed();
            let mut response = refuse(errors::wrong_method(request.method(), raw_path, &allowed));
            if let Ok(allowed) = HeaderValue::from_str(&allowed) {
                response.headers_mut().insert(ALLOW, allowed);
            }
            response
        }
        // Load balancers ask for it.
        Found::Nothing if *request.method() == Method::GET && raw_path == "/" => errors::empty(StatusCode::OK),
        Found::Nothing => missing(),
    }
}

/// Calls the function of a route.
async fn call_route(
    router: &Router,
    caller: &Caller<'_>,
    route: &Route,
    chosen: &Chosen,
    request: Request<Incoming>,
    timing: &mut Timing,
) -> Response<ResponseBody> {
    let uri = request.uri();
    let decoded = path::decode(uri.path()).unwrap_or_default();
    let rest = match route.stripped(&decoded) {
        None => "/",
        Some(count) => path::after_decoded(uri.path(), count),
    };
    let seen_uri = headers::function_uri(rest, uri.query());
    let mut variables = Vec::new();
    route.variables(&decoded, |name, value| variables.push((name.to_owned(), value.to_owned())));
    let origin = route.cors.as_ref().and_then(|cors| Some((cors, request.headers().get(ORIGIN)?.clone())));
    let outgoing = Outgoing { chosen, seen_uri, variables, queued: route.queued };
    let mut response = call::call(router, caller, outgoing, request.map(RequestBody::Streamed), timing).await;
    if let Some((cors, origin)) = origin {
        cors.actual(&origin, response.headers_mut());
    }
    response
}

fn preflight(cors: &Cors, request: &Request<Incoming>) -> Response<ResponseBody> {
    let (status, headers) = cors.preflight(request.headers());
    let mut response = errors::empty(status);
    *response.headers_mut() = headers;
    response
}

/// Paths no trigger may have.
fn own_path(router: &Router, method: &Method, path: &str) -> Option<Response<ResponseBody>> {
    if !matches!(path, "/router-healthz" | "/readyz" | "/_version") {
        return None;
    }
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        let mut response = errors::empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        return Some(response);
    }
    Some(match path {
        "/_version" => version(router),
        "/readyz" if !router.is_ready() => errors::empty(StatusCode::SERVICE_UNAVAILABLE),
        _ => errors::empty(StatusCode::OK),
    })
}

fn version(router: &Router) -> Response<ResponseBody> {
    let build = &router.build;
    let told = serde_json::json!({
        "Build": { "GitCommit": build.commit, "BuildDate": build.date, "Version": build.version },
        "ServerTime": { "Timezone": "UTC", "CurrentTime": Timestamp::now().to_string() },
    });
    let mut response = Response::new(ResponseBody::own(told.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
