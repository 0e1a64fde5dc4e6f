//! One command's way to the platform: found and opened when first needed.

use http::Uri;
use kube::Client;

use crate::args::Globals;
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
    client: Option<Client>,
    target: Option<Target>,
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
        Ok(Self { io, globals, namespace, namespace_given, client, target: None })
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

    /// Address of the router's public listener.
    pub(crate) async fn router(&mut self) -> Outcome<String> {
        if let Some(url) = self.io.vars.get("FISSION_ROUTER_URL").or(self.io.vars.get("FISSION_ROUTER")) {
            return crate::target::normal_url(url);
        }
        match self.running().await? {
            Some(running) => Ok(running.router),
            None => Err(Failure::new("the address of the router is not known")
                .hint("set FISSION_ROUTER=host:port; in a cluster: kubectl port-forward svc/router 31314:80")),
        }
    }

    /// Address of the router's internal listener.
    pub(crate) async fn internal_router(&mut self) -> Outcome<String> {
        if let Some(url) = self.io.vars.get("FISSION_ROUTER_INTERNAL_URL") {
            return crate::target::normal_url(url);
        }
        match self.running().await?.filter(|running| !running.internal.is_empty()) {
            Some(running) => crate::target::normal_url(&running.internal),
            None => Err(Failure::new("the address of the router's internal listener is not known").hint(
                "set FISSION_ROUTER_INTERNAL_URL; in a cluster: kubectl port-forward svc/router-internal 8889:8889",
            )),
        }
    }

    /// The secret internal requests are signed with, if one is known.
    pub(crate) async fn internal_secret(&mut self) -> Outcome<Option<String>> {
        if let Some(secret) = self.io.vars.get("FISSION_INTERNAL_AUTH_SECRET") {
            return Ok(Some(secret.to_owned()));
        }
        let Some(running) = self.running().await? else { return Ok(None) };
        let file = running.data_dir.join(crate::running::SECRET_FILE);
        match std::fs::read_to_string(&file) {
            Ok(secret) => Ok(Some(secret.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(format_args!("cannot read {}: {error}", file.display()))),
        }
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
