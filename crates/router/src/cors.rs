//! Cross-origin rules of a route, answered by the router.

use fission_api::CorsConfig;
use fission_api::go_duration::GoDuration;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// Cross-origin rules that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corsConfig.{field} cannot be used: {why}")]
pub(crate) struct CorsError {
    field: &'static str,
    why: String,
}

/// Rules ready to be applied.
#[derive(Debug)]
pub(crate) struct Cors {
    any_origin: bool,
    origins: Vec<String>,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// `trigger_methods` are allowed when the rules name none.
    pub(crate) fn of(config: &CorsConfig, trigger_methods: &[&str]) -> Result<Self, CorsError> {
        let any_origin = config.allow_origins.iter().any(|origin| origin == "*");
        if any_origin && config.allow_credentials {
            let why = "credentials cannot be allowed for every origin; name the origins instead of \"*\"".into();
            return Err(CorsError { field: "allowCredentials", why });
        }
        let methods =
            if config.allow_methods.is_empty() { trigger_methods.join(", ") } else { config.allow_methods.join(", ") };
        let max_age = match config.max_age.as_str() {
            "" => None,
            text => {
                let duration: GoDuration =
                    text.parse().map_err(|cause| CorsError { field: "maxAge", why: format!("{text:?} {cause}") })?;
                Some(HeaderValue::from(duration.to_std().as_secs()))
            }
        };
        Ok(Self {
            any_origin,
            origins: config.allow_origins.clone(),
            methods: header("allowMethods", &methods)?,
            headers: list("allowHeaders", &config.allow_headers)?,
            expose: list("exposeHeaders", &config.expose_headers)?,
            credentials: config.allow_credentials,
            max_age,
        })
    }

    /// Answers a preflight request: status and headers.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> (StatusCode, HeaderMap) {
        let mut answer = HeaderMap::new();
        let Some(origin) = request.get(ORIGIN).and_then(|origin| self.allowed(origin)) else {
            return (StatusCode::FORBIDDEN, answer);
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        if let Some(headers) = &self.headers {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(max_age) = &self.max_age {
            answer.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        (StatusCode::NO_CONTENT, answer)
    }

    /// What an actual response gets, for the origin the request named.
    pub(crate) fn actual(&self, origin: &HeaderValue, response: &mut HeaderMap) {
        remove_all(response);
        let Some(origin) = self.allowed(origin) else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any_origin {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }
}

/// Whether a request asks what a cross-origin request may do; gives the method it asks for.
pub(crate) fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// Takes every cross-origin header off a response: where the router or no one decides, a function does not.
pub(crate) fn remove_all(response: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        response.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in named {
        response.remove(name);
    }
}

fn list(field: &'static str, values: &[String]) -> Result<Option<HeaderValue>, CorsError> {
    if values.is_empty() { Ok(None) } else { header(field, &values.join(", ")).map(Some) }
}

fn header(field: &'static str, value: &str) -> Result<HeaderValue, CorsError> {
    HeaderValue::from_str(value).map_err(|_| CorsError { field, why: format!("{value:?} cannot be sent in a header") })
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
