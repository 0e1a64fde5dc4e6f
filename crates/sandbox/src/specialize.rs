//! Loading a function into an instance: code and configuration where it sees them, then the specialize request.

use std::time::Duration;

use bytes::Bytes;
use fission_executor::backend::{BackendError, Load};
use fission_rpc::endpoint::Address;
use http::Method;

use crate::backend::broken;
use crate::instance::Instance;
use crate::{code, configuration, http as wire, request};

/// How long the end of an instance is waited for, to say why its connection broke.
const END_AFTER_BREAK: Duration = Duration::from_millis(300);

/// Loads a function.
pub(crate) async fn specialize(instance: &Instance, load: Load) -> Result<Address, BackendError> {
    let meta = &load.function.metadata;
    instance.belongs_to(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let timed_out = || BackendError::TimedOut { instance: instance.id.clone(), seconds: load.timeout.as_secs() };
    let work = async {
        place_code(instance, &load).await?;
        place_configuration(instance, &load).await?;
        let filepath = instance.userfunc.join(&load.filename);
        // Version 1 names no path: it is always the same one, which only a private tree has. Nor has it a place for
        // variables; a server that knows only version 1 refuses the other rather than to load without them.
        let plain = (instance.private || !instance.ours) && load.configuration.env.is_empty();
        let first = load.environment_version < 2 && plain;
        let (path, content_type, body) = if first {
            ("/specialize", "text/plain", Bytes::new())
        } else {
            let body = request::specialize_body(&load, &filepath.to_string_lossy());
            ("/v2/specialize", "application/json", body.map_err(|error| broken(&instance.id, error))?)
        };
        Ok(wire::ask(&instance.address, Method::POST, path, content_type, body).await)
    };
    let answer = tokio::time::timeout(load.timeout, work).await.map_err(|_| timed_out())??;
    match answer {
        Ok(answer) if answer.status < 300 => Ok(instance.address.clone()),
        Ok(answer) => Err(BackendError::Refused { status: answer.status, message: refusal(&answer) }),
        Err(error) => {
            let why = match tokio::time::timeout(END_AFTER_BREAK, instance.ended()).await {
                Ok(how) => format!("ended while it loaded the function: it was {how}"),
                Err(_) => format!("broke the connection while it loaded the function: {error}"),
            };
            Err(broken(&instance.id, why))
        }
    }
}

async fn place_code(instance: &Instance, load: &Load) -> Result<(), BackendError> {
    if !code::is_plain_name(&load.filename) {
        return Err(broken(&instance.id, format_args!("cannot have code named {:?}", load.filename)));
    }
    let (from, to) = (load.code.path.clone(), instance.directories.userfunc.join(&load.filename));
    let everyone = instance.user.is_some();
    // One link is done before another thread would have woken up; a directory may hold thousands.
    let placed = if from.is_file() {
        code::place(&from, &to, everyone)
    } else {
        tokio::task::spawn_blocking(move || code::place(&from, &to, everyone)).await.unwrap_or_else(|e| Err(e.into()))
    };
    placed.map_err(|error| broken(&instance.id, format_args!("could not be given its code: {error}")))
}

async fn place_configuration(instance: &Instance, load: &Load) -> Result<(), BackendError> {
    let files = &load.configuration.files;
    if files.is_empty() {
        return Ok(());
    }
    if !instance.private {
        let message = format!(
            "its secrets and config maps are files below {}, and instances have no file tree of their own on this \
             machine (fission check says why); deliver them as environment variables: --env-from-secret, \
             --env-from-configmap",
            configuration::roots(files)
        );
        return Err(BackendError::Refused { status: 500, message });
    }
    let (files, directories, owner) = (files.clone(), instance.directories.clone(), instance.user);
    let placed = tokio::task::spawn_blocking(move || configuration::place(&files, &directories, owner));
    let placed = placed.await.unwrap_or_else(|error| Err(error.into()));
    placed
        .map_err(|error| broken(&instance.id, format_args!("could not be given its secrets and config maps: {error}")))
}

/// What an environment said of the code, for people.
fn refusal(answer: &wire::Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    match text.trim() {
        "" => format!("the environment refused the function with status {} and no explanation", answer.status),
        text => text.to_owned(),
    }
}
