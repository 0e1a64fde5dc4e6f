//! Telling an environment what to load.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::Failure;
use crate::wire::LoadRequest;

/// First pause while the environment does not listen yet; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(25);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long an environment may take to listen; the executor gives up much earlier.
const LISTENS_WITHIN: Duration = Duration::from_secs(7 * 60);

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    load: &'a LoadRequest,
    /// An addition to the contract: variables to set before the code is loaded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: &'a BTreeMap<String, String>,
}

/// Has the environment load the function; what it refuses is relayed with its status.
pub(super) async fn load(
    client: &reqwest::Client,
    environment: &str,
    load: &LoadRequest,
    variables: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    // Version 1 has no place for variables; a server that knows only it refuses the other rather than to load without.
    let first = load.env_version < 2 && variables.is_empty();
    let url = format!("http://{environment}/{}", if first { "specialize" } else { "v2/specialize" });
    let body = serde_json::to_vec(&Body { load, env: variables })
        .map_err(|error| Failure::fetcher(500, format!("the request to the environment could not be made: {error}")))?;
    let (started, mut pause) = (Instant::now(), PAUSE);
    loop {
        let request = client.post(&url);
        let request = if first {
            request.header("content-type", "text/plain")
        } else {
            request.header("content-type", "application/json").body(body.clone())
        };
        match request.send().await {
            Ok(response) if response.status().as_u16() < 300 => return Ok(()),
            Ok(response) => {
                let status = response.status().as_u16();
                let text = response.text().await.unwrap_or_default();
                let message = match text.trim() {
                    "" => format!("the environment refused the function with status {status} and no explanation"),
                    text => text.to_owned(),
                };
                return Err(Failure { status, component: "function", message });
            }
            Err(error) if error.is_connect() && started.elapsed() < LISTENS_WITHIN => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => {
                return Err(Failure::fetcher(500, format!("the environment broke off while it loaded: {error}")));
            }
        }
    }
}
