//! One command's way to the platform: found and opened when first needed.

use std::sync::Arc;

use http::Uri;
use kube::Client;

use crate::args::Globals;
use crate::doors::Door;
use crate::failure::{Failure, Outcome};
use crate::io::Io;
use crate::target::Target;

/// What every command is given.
pub(crate) struct Session {
    pub(crate) io: Io,
    pub(crate) globals: Globals,
    /// Namespace of the request.
    pub(crate) namespace: String,
    /// Whether `--namespace` was given; only then is it written into files.
    pub(crate) namespace_given: bool,
    /// Namespace of the installation, when a flag names it.
    pub(crate) installation: Option<String>,
    client: Option<Client>,
    target: Option<Target>,
    serves_platform: Option<bool>,
    /// The way to the storage service, kept by [`crate::doors`].
    pub(crate) storage: Option<Arc<Door>>,
}

impl Session {
    /// A session whose namespace comes from flags and variables; a kubeconfig may change it when it is opened.
    pub(crate) fn new(globals: Globals, io: Io) -> Result<Self, Box<(Failure, Io)>> {
        if io.vars.raw("FISSION_INTERNAL_AUTH_SECRET").is_some_and(|secret| secret.trim().is_empty()) {
            let failure = Failure::new("FISSION_INTERNAL_AUTH_SECRET is set but blank")
                .hint("unset it, or give it the platform's secret");
            return Err(Box::new((failure, io)));
        }
        let given = globals.namespace.clone().filter(|namespace| !namespace.is_empty());
        let default = io.vars.get("FISSION_DEFAULT_NAMESPACE").map(str::to_owned);
        let namespace_given = given.is_some();
        let namespace = given.or(default).unwrap_or_else(|| "default".to_owned());
        let client = io.client.clone();
        Ok(Self {
            io,
            globals,
            namespace,
            namespace_given,
            installation: None,
            client,
            target: None,
            serves_platform: None,
            storage: None,
        })
    }

    /// The server, found once.
    pub(crate) async fn target(&mut self) -> Outcome<Target> {
        if let Some(target) = &self.target {
            return Ok(target.clone());
        }
        let target = Target::choose(&self.globals, &self.io).await?;
        let from_elsewhere = self.namespace_given || self.io.vars.get("FISSION_DEFAULT_NAMESPACE").is_some();
        if let (false, Some(namespace)) = (from_elsewhere, &target.namespace) {
            self.namespace.clone_from(namespace);
        }
        self.target = Some(target.clone());
        Ok(target)
    }

    /// A client for the server. Also settles the namespace.
    pub(crate) async fn client(&mut self) -> Outcome<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let target = self.target().await?;
        let client = target.client(&self.namespace)?;
        self.client = Some(client.clone());
        Ok(client)
    }

    /// Talks to one platform on this machine from now on.
    pub(crate) fn use_running(&mut self, running: &crate::running::Running) -> Outcome {
        let target = Target::of_running(running, "its data folder", &self.io.vars);
        if self.io.client.is_none() {
            self.client = Some(target.client(&self.namespace)?);
        }
        self.target = Some(target);
        Ok(())
    }

    /// The namespace, when it is to be written into a file: only if `--namespace` was given.
    pub(crate) fn namespace_in_files(&self) -> Option<String> {
        self.namespace_given.then(|| self.namespace.clone())
    }

    /// The server as messages name it.
    pub(crate) fn server(&self) -> String {
        self.target.as_ref().map_or_else(|| "this process".to_owned(), |target| target.api.clone())
    }

    /// A warning, where the contract wants it: on standard output, or on standard error when `output` is for programs.
    pub(crate) fn warn(&mut self, output: crate::output::Format, text: impl std::fmt::Display) -> Outcome {
        if output.is_for_programs() {
            self.io.complain(format_args!("Warning: {text}"));
            return Ok(());
        }
        self.io.say(format_args!("Warning: {text}"))
    }

    /// Address of the router's public listener, when one is known without asking a cluster.
    pub(crate) async fn router_address(&mut self) -> Outcome<Option<String>> {
        if let Some(url) = self.io.vars.get("FISSION_ROUTER_URL").or(self.io.vars.get("FISSION_ROUTER")) {
            return crate::target::normal_url(url).map(Some);
        }
        Ok(self.running().await?.map(|running| running.router))
    }

    /// Whether the API server also serves the platform's services, as on one machine and behind a controller; in a
    /// cluster asked directly it does not. Found out once.
    pub(crate) async fn serves_platform(&mut self) -> Outcome<bool> {
        if let Some(serves) = self.serves_platform {
            return Ok(serves);
        }
        let serves = match self.running().await? {
            Some(_) => true,
            // A client given from outside is a platform's own.
            None if self.target.is_none() => true,
            None => self.lists_archives().await?,
        };
        self.serves_platform = Some(serves);
        Ok(serves)
    }

    async fn lists_archives(&mut self) -> Outcome<bool> {
        let client = self.client().await?;
        let doing = "cannot find the storage service";
        let request = http::Request::get(crate::doors::ARCHIVES).body(Vec::new()).map_err(Failure::new)?;
        match client.request_text(request).await {
            Ok(list) => Ok(list.trim_start().starts_with('[')),
            // A Kubernetes API server says either of what it does not have.
            Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404) => Ok(false),
            Err(error) => Err(crate::noun::explain(self, doing, error)),
        }
    }

    /// Where a cluster's services are looked for: the namespace of the installation if the user named it, and the
    /// namespace of the context.
    pub(crate) async fn search(&mut self) -> (Option<String>, String) {
        let context = self.target().await.ok().and_then(|target| target.namespace);
        let installation = self.installation.clone();
        let installation = installation.or_else(|| self.io.vars.get("FISSION_NAMESPACE").map(str::to_owned));
        (installation, context.unwrap_or_else(|| self.namespace.clone()))
    }

    /// The platform on this machine, when this command talks to it.
    pub(crate) async fn running(&mut self) -> Outcome<Option<crate::running::Running>> {
        match self.target().await {
            Ok(target) => Ok(target.running),
            // A client given from outside needs no server to be found.
            Err(_) if self.client.is_some() => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Percent-encodes text for one value of a query.
pub(crate) fn query_value(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A path and query as a request target.
pub(crate) fn request_target(text: &str) -> Outcome<Uri> {
    text.parse().map_err(|error| Failure::new(format_args!("{text:?} is not a path: {error}")))
}
