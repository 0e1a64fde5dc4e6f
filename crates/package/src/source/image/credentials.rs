//! What a registry is shown, from secrets of the type `kubernetes.io/dockerconfigjson`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::super::Failure;
use super::reference::Image;

/// The key of such a secret.
const KEY: &str = ".dockerconfigjson";
/// Names of one and the same registry.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What is shown, and how to say where it is from.
pub(super) struct Credentials {
    pub(super) auth: RegistryAuth,
    /// `without credentials`, `with those of the secret regcred`.
    pub(super) told: String,
}

/// The credentials of an image in the secrets its package names; none is what is shown where no secret has any.
pub(super) async fn find(
    client: Option<&kube::Client>,
    namespace: &str,
    image: &Image,
) -> Result<Credentials, Failure> {
    if image.secrets.is_empty() {
        let told = "without credentials; name a secret that has some in imagePullSecrets".to_owned();
        return Ok(Credentials { auth: RegistryAuth::Anonymous, told });
    }
    let unreadable = || Failure::Unreachable("this server reads no secrets, so it cannot pull with one".to_owned());
    let secrets: Api<Secret> = Api::namespaced(client.ok_or_else(unreadable)?.clone(), namespace);
    let (registry, repository) = (image.registry(), image.reference.repository());
    for name in &image.secrets {
        let config = read(&secrets, namespace, name).await?;
        if let Some(login) = config.of(registry, repository) {
            let auth = login.auth().map_err(|why| broken(name, why))?;
            return Ok(Credentials { auth, told: format!("with the credentials of the secret {name}") });
        }
    }
    let told = format!("without credentials: none of its secrets {} has any for it", image.secrets.join(", "));
    Ok(Credentials { auth: RegistryAuth::Anonymous, told })
}

async fn read(secrets: &Api<Secret>, namespace: &str, name: &str) -> Result<Config, Failure> {
    let found = secrets.get_opt(name).await.map_err(|error| {
        Failure::Unreachable(format!(
            "its pull secret {namespace}/{name} could not be read: {}",
            fission_rpc::causes(&error)
        ))
    })?;
    let Some(secret) = found else {
        let make = "kubectl create secret docker-registry";
        let why = format!("its pull secret {name} is not in namespace {namespace}; make it with `{make}`");
        return Err(Failure::Unusable(why));
    };
    let data = secret.data.unwrap_or_default();
    let content = data.get(KEY).ok_or_else(|| broken(name, "has no .dockerconfigjson"))?;
    // What serde has to say of it may quote a password.
    serde_json::from_slice(&content.0).map_err(|_| broken(name, "has a .dockerconfigjson that is none"))
}

fn broken(secret: &str, why: &str) -> Failure {
    Failure::Unusable(format!("its pull secret {secret} {why}"))
}

/// Logins by registry, as Docker writes them.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    /// `username:password` in base64.
    auth: String,
    registrytoken: String,
}

impl Config {
    /// The login of a registry; of several, that for the longest part of the repository's name.
    fn of(&self, registry: &str, repository: &str) -> Option<&Login> {
        let length = |(name, _): &(&String, &Login)| matches(name, registry, repository);
        let found = self.auths.iter().filter(|entry| length(entry).is_some());
        found.max_by_key(|entry| length(entry)).map(|(_, login)| login)
    }
}

/// How much of a repository's name `host`, `host/path` or `https://host/v1/` names; none where it is of another registry.
fn matches(name: &str, registry: &str, repository: &str) -> Option<usize> {
    let name = name.trim_start_matches("https://").trim_start_matches("http://");
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let same = host == registry || (DOCKER_HUB.contains(&host) && DOCKER_HUB.contains(&registry));
    let path = path.trim_end_matches('/');
    let inside = match path {
        // Versions of the registry's API, which `docker login` writes.
        "" | "v1" | "v2" => return same.then_some(0),
        path => repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    (same && inside).then_some(path.len())
}

impl Login {
    fn auth(&self) -> Result<RegistryAuth, &'static str> {
        if !self.registrytoken.is_empty() {
            return Ok(RegistryAuth::Bearer(self.registrytoken.clone()));
        }
        if !self.username.is_empty() {
            return Ok(RegistryAuth::Basic(self.username.clone(), self.password.clone()));
        }
        let pair = STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((username, password)) => Ok(RegistryAuth::Basic(username.to_owned(), password.to_owned())),
            None => Err("has neither username and password nor a registrytoken for its registry"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(config: &str, registry: &str, repository: &str) -> Option<RegistryAuth> {
        let config: Config = serde_json::from_str(config).unwrap();
        config.of(registry, repository).map(|login| login.auth().unwrap())
    }

    fn basic(username: &str) -> Option<RegistryAuth> {
        Some(RegistryAuth::Basic(username.into(), "p:w".into()))
    }

    #[test]
    fn a_login_is_found_by_its_registry_however_it_is_written() {
        // a:p:w
        let config = r#"{ "auths": { "https://index.docker.io/v1/": { "auth": "YTpwOnc=" },
                                     "127.0.0.1:5000": { "username": "b", "password": "p:w" } } }"#;
        assert_eq!(login(config, "index.docker.io", "library/code"), basic("a"));
        assert_eq!(login(config, "127.0.0.1:5000", "code"), basic("b"));
        assert_eq!(login(config, "127.0.0.1:5001", "code"), None);
    }

    #[test]
    fn the_login_for_the_longest_part_of_a_name_wins() {
        let config = r#"{ "auths": { "ghcr.io": { "username": "a", "password": "p:w" },
                                     "ghcr.io/team": { "username": "b", "password": "p:w" } } }"#;
        assert_eq!(login(config, "ghcr.io", "team/code"), basic("b"));
        assert_eq!(login(config, "ghcr.io", "teams/code"), basic("a"));
    }

    #[test]
    fn a_login_without_a_password_is_refused() {
        assert!(Login::default().auth().is_err());
        assert!(Login { auth: "no base64".into(), ..Login::default() }.auth().is_err());
    }
}
