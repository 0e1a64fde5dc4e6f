//! Which API server a command talks to, and why.
//!
//! In this order: flags, `FISSION_URL`, a kubeconfig, the cluster a command runs in, the platform on this machine.

use std::path::{Path, PathBuf};

use http::Uri;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::Globals;
use crate::env::Variables;
use crate::failure::{Doing, Failure, Outcome};
use crate::io::Io;
use crate::running::{Running, default_data_dir};

/// A server, how it was chosen, and what is known of the platform behind it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its address.
    pub(crate) api: String,
    /// Why this one, as `check` says it.
    pub(crate) why: String,
    /// The platform on this machine, when that is what runs there.
    pub(crate) running: Option<Running>,
    /// Namespace of the kubeconfig's context.
    pub(crate) namespace: Option<String>,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// Plain HTTP with a bearer token.
    Plain(Option<String>),
    Kubeconfig(Box<Config>),
}

impl Target {
    /// Finds the server.
    pub(crate) async fn choose(globals: &Globals, io: &Io) -> Outcome<Self> {
        let vars = &io.vars;
        if let Some(server) = &globals.server {
            return Self::of_url(server, "--server", vars);
        }
        if globals.kubeconfig.is_some() || globals.kube_context.is_some() {
            let files = match &globals.kubeconfig {
                Some(file) => vec![io.path(file)],
                None => kubeconfig_files(vars)?,
            };
            let flag = if globals.kubeconfig.is_some() { "--kubeconfig" } else { "--kube-context" };
            return Self::of_kubeconfig(&files, globals.kube_context.clone(), flag).await;
        }
        if let Some(url) = vars.get("FISSION_URL") {
            return Self::of_url(url, "FISSION_URL", vars);
        }
        let files = kubeconfig_files(vars)?;
        if !files.is_empty() && has_current_context(&files)? {
            let why = if vars.get("KUBECONFIG").is_some() { "KUBECONFIG" } else { "~/.kube/config" };
            return Self::of_kubeconfig(&files, None, why).await;
        }
        if vars.get("KUBERNETES_SERVICE_HOST").is_some() {
            let mut config = Config::incluster().doing("cannot use this pod's service account")?;
            if let Some(namespace) = vars.get("POD_NAMESPACE") {
                namespace.clone_into(&mut config.default_namespace);
            }
            return Ok(Self::of_config(config, "the cluster this runs in"));
        }
        Self::of_this_machine(vars)
    }

    /// The platform on this machine, found by its data folder.
    fn of_this_machine(vars: &Variables) -> Outcome<Self> {
        let dir = default_data_dir(vars);
        let nothing = |what: String| {
            Failure::new(what)
                .hint("start a platform on this machine with: fission up")
                .hint("or name a server: FISSION_URL=http://host:port, --server URL, --kubeconfig FILE")
        };
        match Running::read(&dir).map_err(Failure::new)? {
            Some(running) if running.is_alive() => {
                let why = format!("the platform running on this machine ({})", dir.display());
                Ok(Self::of_running(&running, &why, vars))
            }
            Some(running) => Err(nothing(format!(
                "no Fission API server found: the platform in {} (process {}) has ended",
                dir.display(),
                running.pid
            ))),
            None => Err(nothing("no Fission API server found: no platform runs on this machine".to_owned())),
        }
    }

    /// A platform on this machine.
    pub(crate) fn of_running(running: &Running, why: &str, vars: &Variables) -> Self {
        Self {
            api: running.api.clone(),
            why: why.to_owned(),
            how: How::Plain(token_of(running, vars)),
            running: Some(running.clone()),
            namespace: None,
        }
    }

    fn of_url(url: &str, why: &str, vars: &Variables) -> Outcome<Self> {
        let api = normal_url(url).map_err(|failure| failure.while_doing(why))?;
        let files = kubeconfig_files(vars).unwrap_or_default();
        let folders = files.iter().filter_map(|file| file.parent().map(Path::to_owned));
        let running = std::iter::once(default_data_dir(vars))
            .chain(folders)
            .filter_map(|dir| Running::read(&dir).ok().flatten())
            .find(|running| same_address(&running.api, &api) && running.is_alive());
        let token = match &running {
            Some(running) => token_of(running, vars),
            None => vars.get("FISSION_TOKEN").map(str::to_owned),
        };
        if api.starts_with("https://") {
            let uri: Uri = api.parse().doing(format_args!("{why} is not an address"))?;
            let mut config = Config::new(uri);
            config.auth_info.token = token.map(Into::into);
            return Ok(Self { running, api, ..Self::of_config(config, why) });
        }
        Ok(Self { api, why: why.to_owned(), running, namespace: None, how: How::Plain(token) })
    }

    async fn of_kubeconfig(files: &[PathBuf], context: Option<String>, why: &str) -> Outcome<Self> {
        let kubeconfig = read_kubeconfigs(files)?;
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(":");
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .doing(format_args!("cannot use the kubeconfig {names}"))?;
        let running = running_beside(files, &config);
        Ok(Self { running, ..Self::of_config(config, &format!("{why} ({names})")) })
    }

    fn of_config(config: Config, why: &str) -> Self {
        Self {
            api: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
            why: why.to_owned(),
            running: None,
            namespace: Some(config.default_namespace.clone()),
            how: How::Kubeconfig(Box::new(config)),
        }
    }

    /// Address and token, when the server can be spoken to over plain HTTP.
    pub(crate) fn plain(&self, vars: &Variables) -> Option<(String, Option<String>)> {
        match (&self.how, &self.running) {
            (How::Plain(token), _) => Some((self.api.clone(), token.clone())),
            (How::Kubeconfig(_), Some(running)) => Some((running.api.clone(), token_of(running, vars))),
            (How::Kubeconfig(_), None) => None,
        }
    }

    /// A client for the server. Opens nothing yet.
    pub(crate) fn client(&self, namespace: &str) -> Outcome<Client> {
        match &self.how {
            How::Kubeconfig(config) => {
                Client::try_from((**config).clone()).doing(format_args!("cannot make a client for {}", self.api))
            }
            How::Plain(token) => plain_client(&self.api, token.as_deref(), namespace),
        }
    }
}

/// A client for another service than the API server.
pub(crate) fn client_for(url: &str, token: Option<&str>) -> Outcome<Client> {
    let url = normal_url(url)?;
    if url.starts_with("http://") {
        return plain_client(&url, token, "default");
    }
    let mut config = Config::new(url.parse().doing(format_args!("{url} is not an address"))?);
    config.auth_info.token = token.map(|token| token.to_owned().into());
    Client::try_from(config).doing(format_args!("cannot make a client for {url}"))
}

/// A client that speaks plain HTTP with a bearer token: no TLS to set up, so a command starts in milliseconds.
fn plain_client(api: &str, token: Option<&str>, namespace: &str) -> Outcome<Client> {
    let base: Uri = api.parse().doing(format_args!("{api} is not an address"))?;
    let (scheme, authority) = (base.scheme().cloned(), base.authority().cloned());
    let prefix = base.path().trim_end_matches('/').to_owned();
    let bearer = match token {
        Some(token) => Some(
            http::HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Failure::new("the API token holds characters a header may not have"))?,
        ),
        None => None,
    };
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let tail = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let mut parts = http::uri::Parts::default();
        parts.scheme = scheme.clone();
        parts.authority = authority.clone();
        parts.path_and_query = format!("{prefix}{tail}").parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        if let Some(bearer) = &bearer {
            request.headers_mut().insert(http::header::AUTHORIZATION, bearer.clone());
        }
        http.request(request)
    });
    Ok(Client::new(service, namespace))
}

/// An address with its scheme; plain HTTP when none is given, as the older spelling `host:port` has none.
pub(crate) fn normal_url(url: &str) -> Outcome<String> {
    let url = url.trim();
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let parsed: Uri = url.parse().doing(format_args!("{url:?} is not an address"))?;
    match parsed.scheme_str() {
        Some("http" | "https") if parsed.host().is_some_and(|host| !host.is_empty()) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::new(format_args!("{url:?} is not an http or https address"))),
    }
}

/// Whether two addresses mean the same listener; the scheme does not matter and `localhost` is `127.0.0.1`.
fn same_address(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let uri: Uri = url.parse().ok()?;
        let host = uri.host()?.trim_matches(['[', ']']);
        let host = if matches!(host, "localhost" | "::1" | "0.0.0.0") { "127.0.0.1" } else { host };
        Some((host.to_owned(), uri.port_u16()))
    };
    place(one).is_some() && place(one) == place(other)
}

fn kubeconfig_files(vars: &Variables) -> Outcome<Vec<PathBuf>> {
    if let Some(list) = vars.get("KUBECONFIG") {
        let files: Vec<PathBuf> = list.split(':').filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        let there: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
        if there.is_empty() {
            return Err(Failure::new(format_args!("KUBECONFIG names {list}, which does not exist"))
                .hint("unset KUBECONFIG to use the platform on this machine"));
        }
        return Ok(there);
    }
    let home = vars.get("HOME").map(|home| Path::new(home).join(".kube/config"));
    Ok(home.filter(|file| file.exists()).into_iter().collect())
}

fn read_kubeconfigs(files: &[PathBuf]) -> Outcome<Kubeconfig> {
    let mut merged = Kubeconfig::default();
    for file in files {
        let next = Kubeconfig::read_from(file).doing(format_args!("cannot read the kubeconfig {}", file.display()))?;
        merged = merged.merge(next).doing(format_args!("cannot read the kubeconfig {}", file.display()))?;
    }
    Ok(merged)
}

fn has_current_context(files: &[PathBuf]) -> Outcome<bool> {
    Ok(read_kubeconfigs(files)?.current_context.is_some_and(|context| !context.is_empty()))
}

/// The token of the current context. Read without the Kubernetes types: it is all a command on this machine needs.
fn token_in(kubeconfig: &Path) -> Option<String> {
    let config = crate::yaml::value_of(&std::fs::read_to_string(kubeconfig).ok()?).ok()?;
    let named = |list: &str, name: &serde_json::Value| {
        config[list].as_array()?.iter().find(|entry| &entry["name"] == name).cloned()
    };
    let context = named("contexts", &config["current-context"])?;
    let user = named("users", &context["context"]["user"])?;
    user["user"]["token"].as_str().map(str::to_owned)
}

fn token_of(running: &Running, vars: &Variables) -> Option<String> {
    if let Some(token) = vars.get("FISSION_TOKEN") {
        return Some(token.to_owned());
    }
    token_in(&running.kubeconfig())
}

/// The platform whose own kubeconfig was named.
fn running_beside(files: &[PathBuf], config: &Config) -> Option<Running> {
    let running = Running::read(files.first()?.parent()?).ok().flatten()?;
    (same_address(&running.api, &config.cluster_url.to_string()) && running.is_alive()).then_some(running)
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
