//! One call of the function, as anyone would make it: through the route.

use std::time::Duration;

use clap::Args;
use http::response::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::Instant;

use super::session::Events;
use crate::failure::{Doing, Failure, Outcome};
use crate::function::test::{self, MAX_REFUSAL_BYTES};
use crate::noun::root_of;
use crate::session::{Session, request_target};
use crate::target::client_for;

/// How long a new route may take to be in force: the router follows the API within milliseconds.
const ROUTE_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two tries meanwhile.
const ROUTE_PAUSE: Duration = Duration::from_millis(2);

/// The call.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CallFlags {
    /// HTTP method of the call; GET when not given
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// Header of the call, as 'Name: value'; may be repeated
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// Body of the call
    #[arg(long, short)]
    pub(crate) body: Option<String>,
    /// Path and query of the call; / when not given
    #[arg(long, value_name = "PATH")]
    pub(crate) subpath: Option<String>,
}

/// The answer of a function. What the platform said in its place is kept, for [`Answer::verdict`].
pub(super) struct Answer {
    parts: Parts,
    refusal: Vec<u8>,
}

impl CallFlags {
    /// Whether anything is said of a call.
    pub(super) fn is_given(&self) -> bool {
        self.method.is_some() || !self.header.is_empty() || self.body.is_some() || self.subpath.is_some()
    }

    /// The request, to be sent once more if it must.
    pub(super) fn request(&self) -> Outcome<Request<Body>> {
        let method = self.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Failure::new(format_args!("--method {method:?} is not an HTTP method")))?;
        let path = self.subpath.as_deref().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let body = Body::from(self.body.clone().unwrap_or_default().into_bytes());
        let request = Request::builder().method(method).uri(request_target(&path)?).body(body);
        let mut request = request.doing("cannot make the request")?;
        test::add_headers(&self.header, &mut request)?;
        Ok(request)
    }

    /// Calls the function at `router` and prints its answer as it comes.
    pub(super) async fn send(&self, router: &str, events: &mut Events<'_>, s: &mut Session) -> Outcome<Answer> {
        let client = client_for(router, None)?;
        let failed = |error: &dyn std::error::Error| Failure::new(format_args!("the call failed: {}", root_of(error)));
        let answer = events.meanwhile(&mut s.io, client.send(self.request()?)).await?;
        let answer = answer.map_err(|error| failed(&error))?;
        let (parts, mut body) = answer.into_parts();
        let keep = test::refused_by(&parts).is_some();
        let mut refusal = Vec::new();
        while let Some(frame) = events.meanwhile(&mut s.io, body.frame()).await? {
            let frame = frame.map_err(|error| failed(&*Box::<dyn std::error::Error>::from(error)))?;
            match frame.data_ref() {
                Some(data) if keep && refusal.len() < MAX_REFUSAL_BYTES => refusal.extend_from_slice(data),
                Some(data) if !keep => s.io.write_bytes(data)?,
                _ => {}
            }
        }
        Ok(Answer { parts, refusal })
    }
}

/// Waits until the router at this address has the route. It is asked with a method no route has, which it refuses in
/// another way then; the function does not notice.
pub(super) async fn route_is_there(router: &str) -> Outcome {
    let client = client_for(router, None)?;
    let doing = "cannot reach the router of this run";
    let deadline = Instant::now() + ROUTE_WITHIN;
    loop {
        let request = Request::builder().method("PROBE").uri("/").body(Body::empty()).doing(doing)?;
        let answer = client.send(request).await;
        let answer = answer.map_err(|error| Failure::new(format_args!("{doing}: {}", root_of(&error))))?;
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let seconds = ROUTE_WITHIN.as_secs();
            return Err(Failure::new(format_args!("{doing}: its route was not in force within {seconds} s")));
        }
        tokio::time::sleep(ROUTE_PAUSE).await;
    }
}

impl Answer {
    /// Whether the call was good.
    pub(super) fn verdict(&self, function: &str) -> Outcome {
        let status = self.parts.status;
        match test::refused_by(&self.parts) {
            // What it advises is for a platform that goes on: here everything was shown already.
            Some(component) if status.as_u16() >= 400 => Err(test::refusal(component, status, &self.refusal).0),
            None if status.as_u16() >= 400 => {
                Err(Failure::new(format_args!("function '{function}' answered {status}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_get_of_the_root_unless_said_otherwise() {
        let plain = CallFlags::default();
        assert!(!plain.is_given());
        let request = plain.request().unwrap();
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::GET, "/"));
        let call = CallFlags {
            method: Some("post".to_owned()),
            header: vec!["X-One: a: b".to_owned()],
            body: Some("x".to_owned()),
            subpath: Some("items/1?page=2".to_owned()),
        };
        assert!(call.is_given());
        let request = call.request().unwrap();
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/items/1?page=2"));
        assert_eq!(request.headers()["x-one"], "a: b");
        let wrong = CallFlags { header: vec!["plain".to_owned()], ..CallFlags::default() };
        assert!(wrong.request().unwrap_err().to_string().contains("'Name: value'"));
    }
}
