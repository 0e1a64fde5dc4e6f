//! Settings of a role in a cluster. They come from environment variables, which a Deployment sets; each is documented at
//! its field, and its name is Fission's where Fission has it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fission_rpc::namespaces::Namespaces;

/// Which namespaces a platform looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenancy {
    /// Those of the ConfigMap `fission-namespaces`, which may change at any time, else of the settings.
    Static,
    /// Those with the label `fission.io/enabled=true`.
    Dynamic,
    /// All.
    Cluster,
}

/// Settings of a role.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSettings {
    /// `POD_NAMESPACE`: where the platform runs. `fission`.
    pub(crate) install_namespace: String,
    /// `POD_NAME`: this process among its equals; the host's name where it is not set.
    pub(crate) identity: String,
    /// `FISSION_TENANCY_MODE`: `static`, `dynamic` or `cluster`. `static`.
    pub(crate) tenancy: Tenancy,
    /// `FISSION_DEFAULT_NAMESPACE`: the namespace of those who name none. `default`.
    pub(crate) default_namespace: String,
    /// `FISSION_DEFAULT_NAMESPACE` and `FISSION_RESOURCE_NAMESPACES`, a list with commas: where users' objects are.
    /// `default`.
    pub(crate) namespaces: BTreeSet<String>,
    /// `FISSION_FUNCTION_NAMESPACE`: one namespace for the pods of all functions. Each function's own.
    pub(crate) function_namespace: Option<String>,
    /// `FISSION_BUILDER_NAMESPACE`: one namespace for the pods of all builders. Each environment's own.
    pub(crate) builder_namespace: Option<String>,
    /// `FISSION_INTERNAL_AUTH_SECRET_NAME`: the Secret with the master secret. `fission-internal-auth`.
    pub(crate) secret_name: String,
    /// `FISSION_INTERNAL_AUTH_SECRET`: the master secret itself, instead of the Secret. Set and empty is refused.
    pub(crate) secret: Option<String>,
    /// `FISSION_INTERNAL_AUTH_SECRET_OLD`: the one before it, still accepted.
    pub(crate) old_secret: Option<String>,
    /// `GRACEFUL_SHUTDOWN_TIMEOUT`: longest time requests in flight get when the process ends. `30s`.
    pub(crate) graceful_shutdown: Duration,
    /// `SHUTDOWN_DELAY`: how long requests are still taken after the process was told to end, where no hook of its pod
    /// waits. `0s`.
    pub(crate) shutdown_delay: Duration,
    /// `METRICS_ADDR`: where `/metrics`, `/healthz` and `/readyz` are served. `:8080`.
    pub(crate) health: SocketAddr,
    /// `CLUSTER_DOMAIN`: end of the names of Services. `cluster.local`.
    pub(crate) cluster_domain: String,
    /// `FETCHER_IMAGE`: image of this program for the sidecar. `fission/fission:latest`.
    pub(crate) fetcher_image: String,
    /// `FETCHER_IMAGE_PULL_POLICY`. `IfNotPresent`.
    pub(crate) fetcher_pull_policy: String,
    /// `RUNTIME_IMAGE_PULL_POLICY`. `IfNotPresent`.
    pub(crate) runtime_pull_policy: String,
    /// `BUILDER_IMAGE_PULL_POLICY`. `IfNotPresent`.
    pub(crate) builder_pull_policy: String,
    /// `FETCHER_MINCPU`, `FETCHER_MINMEM`, `FETCHER_MAXCPU`, `FETCHER_MAXMEM`. 10m and 16Mi, no most.
    pub(crate) fetcher_resources: serde_json::Value,
    /// `FETCHER_ALLOW_INSECURE_REGISTRIES`: registries that fetchers ask over plain HTTP, a list of `host` and `host:port`
    /// with commas. None but those on loopback.
    pub(crate) insecure_registries: Vec<String>,
    /// `POD_READY_TIMEOUT`: longest time a pod may take to be ready. `300s`.
    pub(crate) pod_ready_timeout: Duration,
    /// `OBJECT_REAPER_INTERVAL`: seconds between two looks for idle instances. 5.
    pub(crate) reap_interval: Duration,
    /// What the executor keeps for functions before anyone asks.
    pub(crate) provisioned: super::Provisioned,
    /// `STORAGE_PATH`: folder of the archives, of the storage role. `/archives`.
    pub(crate) storage_path: PathBuf,
    /// `LOGS_PATH`: folder of the log store, of the logs role. `/fission-logs`.
    pub(crate) logs_path: PathBuf,
    /// `STORAGE_MAX_ARCHIVE_SIZE_MIB`: largest archive. 256.
    pub(crate) max_archive_bytes: u64,
    /// `WEBHOOK_TLS_MODE`: `self` makes and rotates the certificate; else it is read from `WEBHOOK_TLS_PATH`. `self`.
    pub(crate) webhook_tls: String,
    /// `WEBHOOK_TLS_PATH`: folder with `tls.crt` and `tls.key`. `/etc/fission-webhook-tls`.
    pub(crate) webhook_tls_path: PathBuf,
    /// `WEBHOOK_TLS_SECRET`: the Secret that keeps a certificate made here. `fission-webhook-tls`.
    pub(crate) webhook_secret: String,
    /// `WEBHOOK_SERVICE`: the Service in front of the webhook. `webhook-service`.
    pub(crate) webhook_service: String,
    /// `WEBHOOK_CONFIGURATION`: the ValidatingWebhookConfiguration to keep current. `fission-validating-webhook`.
    pub(crate) webhook_configuration: String,
    /// `FISSION_CONFIG_PATH`: folder with optional patches of pods. `/etc/fission`.
    pub(crate) config_path: PathBuf,
}

impl ClusterSettings {
    /// The settings this process was started with.
    pub(crate) fn read() -> Result<Self> {
        Self::from(super::variable)
    }

    fn from(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let filled = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let or = |name: &str, default: &str| filled(name).unwrap_or_else(|| default.to_owned());
        let duration = |name: &str, default: u64| match filled(name) {
            None => Ok(Duration::from_secs(default)),
            Some(text) => seconds(&text).with_context(|| format!("{name}={text:?} is no duration such as 30s")),
        };
        let secret = get("FISSION_INTERNAL_AUTH_SECRET");
        if secret.as_deref().is_some_and(|secret| secret.trim().is_empty()) {
            bail!(
                "FISSION_INTERNAL_AUTH_SECRET is set and empty: requests between components would be open to everyone"
            );
        }
        let mut namespaces: BTreeSet<String> =
            or("FISSION_RESOURCE_NAMESPACES", "").split(',').map(|name| name.trim().to_owned()).collect();
        let default_namespace = or("FISSION_DEFAULT_NAMESPACE", "default");
        namespaces.insert(default_namespace.clone());
        namespaces.remove("");
        Ok(Self {
            install_namespace: or("POD_NAMESPACE", "fission"),
            identity: or("POD_NAME", &or("HOSTNAME", &format!("process-{}", std::process::id()))),
            tenancy: match or("FISSION_TENANCY_MODE", "static").as_str() {
                "static" => Tenancy::Static,
                "dynamic" => Tenancy::Dynamic,
                "cluster" => Tenancy::Cluster,
                other => bail!("FISSION_TENANCY_MODE={other:?}: it is static, dynamic or cluster"),
            },
            default_namespace,
            namespaces,
            function_namespace: filled("FISSION_FUNCTION_NAMESPACE"),
            builder_namespace: filled("FISSION_BUILDER_NAMESPACE"),
            secret_name: or("FISSION_INTERNAL_AUTH_SECRET_NAME", "fission-internal-auth"),
            secret,
            old_secret: filled("FISSION_INTERNAL_AUTH_SECRET_OLD"),
            graceful_shutdown: duration("GRACEFUL_SHUTDOWN_TIMEOUT", 30)?,
            shutdown_delay: duration("SHUTDOWN_DELAY", 0)?,
            health: address(&or("METRICS_ADDR", ":8080")).context("METRICS_ADDR is no address such as :8080")?,
            cluster_domain: or("CLUSTER_DOMAIN", "cluster.local"),
            fetcher_image: or("FETCHER_IMAGE", "fission/fission:latest"),
            fetcher_pull_policy: or("FETCHER_IMAGE_PULL_POLICY", "IfNotPresent"),
            runtime_pull_policy: or("RUNTIME_IMAGE_PULL_POLICY", "IfNotPresent"),
            builder_pull_policy: or("BUILDER_IMAGE_PULL_POLICY", "IfNotPresent"),
            fetcher_resources: resources(&filled),
            insecure_registries: list(&or(INSECURE_REGISTRIES, "")),
            pod_ready_timeout: duration("POD_READY_TIMEOUT", 300)?,
            reap_interval: duration("OBJECT_REAPER_INTERVAL", 5)?,
            provisioned: super::Provisioned::read(&get)?,
            storage_path: or("STORAGE_PATH", "/archives").into(),
            logs_path: or("LOGS_PATH", "/fission-logs").into(),
            max_archive_bytes: or("STORAGE_MAX_ARCHIVE_SIZE_MIB", "256")
                .parse::<u64>()
                .context("STORAGE_MAX_ARCHIVE_SIZE_MIB is no number")?
                << 20,
            webhook_tls: or("WEBHOOK_TLS_MODE", "self"),
            webhook_tls_path: or("WEBHOOK_TLS_PATH", "/etc/fission-webhook-tls").into(),
            webhook_secret: or("WEBHOOK_TLS_SECRET", "fission-webhook-tls"),
            webhook_service: or("WEBHOOK_SERVICE", "webhook-service"),
            webhook_configuration: or("WEBHOOK_CONFIGURATION", "fission-validating-webhook"),
            config_path: or("FISSION_CONFIG_PATH", "/etc/fission").into(),
        })
    }

    /// Where users' objects are, as far as the settings say.
    pub(crate) fn namespaces(&self) -> Namespaces {
        match self.tenancy {
            Tenancy::Cluster => Namespaces::All,
            Tenancy::Static | Tenancy::Dynamic => Namespaces::These(self.namespaces.clone()),
        }
    }
}

/// Of the executor, and of the fetchers it makes.
const INSECURE_REGISTRIES: &str = "FETCHER_ALLOW_INSECURE_REGISTRIES";

/// The variables of [`SidecarSettings`] that hold keys.
pub(crate) const SIDECAR_SECRETS: [&str; 6] = [
    "FISSION_FETCHER_KEY",
    "FISSION_FETCHER_KEY_OLD",
    "FISSION_BUILDER_KEY",
    "FISSION_BUILDER_KEY_OLD",
    "FISSION_STORAGE_KEY",
    "FISSION_STORAGE_KEY_OLD",
];

/// `BUILD_TIMEOUT` of the builder's container: longest time of one build. `15m`.
pub(crate) fn build_timeout() -> Result<Duration> {
    let text = super::variable("BUILD_TIMEOUT").filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "15m".into());
    seconds(&text).with_context(|| format!("BUILD_TIMEOUT={text:?} is no duration such as 15m"))
}

/// Settings of what runs beside an environment in a pod: the fetcher, and the builder.
#[derive(Clone, Debug)]
pub(crate) struct SidecarSettings {
    /// `FISSION_FETCHER_KEY[_OLD]`, in hex: the keys of requests to the fetcher.
    pub(crate) fetcher_keys: Vec<Vec<u8>>,
    /// `FISSION_BUILDER_KEY[_OLD]`, in hex: the keys of requests to the builder.
    pub(crate) builder_keys: Vec<Vec<u8>>,
    /// `FISSION_STORAGE_KEY`, in hex: the key of requests to the storage service.
    pub(crate) storage_key: Option<Vec<u8>>,
    /// `POD_NAMESPACE`: the namespace the keys are bound to.
    pub(crate) namespace: String,
    /// `FISSION_STORAGE_URL`: the storage service. `http://storagesvc.fission`.
    pub(crate) storage_url: String,
    /// `FETCHER_ALLOW_INSECURE_REGISTRIES`, see [`ClusterSettings::insecure_registries`].
    pub(crate) insecure_registries: Vec<String>,
}

impl SidecarSettings {
    /// The settings this process was started with.
    pub(crate) fn read() -> Result<Self> {
        Self::from(super::variable)
    }

    fn from(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let key = |name: &str| match get(name) {
            // As an empty master secret: everyone could ask for anything.
            Some(value) if value.trim().is_empty() => bail!("{name} is set and empty"),
            value => Ok(value.map(|value| unhex(&value))),
        };
        let keys = |one: &str, old: &str| anyhow::Ok(key(one)?.into_iter().chain(key(old)?).collect());
        Ok(Self {
            fetcher_keys: keys("FISSION_FETCHER_KEY", "FISSION_FETCHER_KEY_OLD")?,
            builder_keys: keys("FISSION_BUILDER_KEY", "FISSION_BUILDER_KEY_OLD")?,
            storage_key: key("FISSION_STORAGE_KEY")?,
            namespace: get("POD_NAMESPACE").unwrap_or_default(),
            storage_url: get("FISSION_STORAGE_URL").unwrap_or_else(|| "http://storagesvc.fission".into()),
            insecure_registries: list(&get(INSECURE_REGISTRIES).unwrap_or_default()),
        })
    }
}

/// What is between commas.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// A key from hex; what is not hex is the key itself, as Fission reads it.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect(),
        _ => text.as_bytes().to_vec(),
    }
}

/// `30s`, `5m`, or a number of seconds.
fn seconds(text: &str) -> Option<Duration> {
    if let Ok(number) = text.parse::<u64>() {
        return Some(Duration::from_secs(number));
    }
    text.parse::<fission_api::GoDuration>().ok().map(fission_api::GoDuration::to_std)
}

/// `:8080` is all of this machine's addresses.
fn address(text: &str) -> Result<SocketAddr> {
    match text.strip_prefix(':') {
        Some(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port.parse()?)),
        None => Ok(text.parse()?),
    }
}

fn resources(get: &dyn Fn(&str) -> Option<String>) -> serde_json::Value {
    let pick = |cpu: &str, memory: &str, defaults: (Option<&str>, Option<&str>)| {
        let mut all = serde_json::Map::new();
        for (key, value) in [
            ("cpu", get(cpu).or(defaults.0.map(str::to_owned))),
            ("memory", get(memory).or(defaults.1.map(str::to_owned))),
        ] {
            if let Some(value) = value {
                all.insert(key.to_owned(), value.into());
            }
        }
        all
    };
    serde_json::json!({
        "requests": pick("FETCHER_MINCPU", "FETCHER_MINMEM", (Some("10m"), Some("16Mi"))),
        "limits": pick("FETCHER_MAXCPU", "FETCHER_MAXMEM", (None, None)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<ClusterSettings> {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        ClusterSettings::from(|name| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    #[test]
    fn a_platform_looks_at_its_default_namespace_and_those_it_is_given() {
        assert_eq!(settings(&[]).unwrap().namespaces(), Namespaces::these(["default"]));
        let given = settings(&[("FISSION_DEFAULT_NAMESPACE", "a"), ("FISSION_RESOURCE_NAMESPACES", "b, c,")]).unwrap();
        assert_eq!(given.namespaces(), Namespaces::these(["a", "b", "c"]));
        assert_eq!(settings(&[("FISSION_TENANCY_MODE", "cluster")]).unwrap().namespaces(), Namespaces::All);
    }

    #[test]
    fn a_secret_that_is_set_and_empty_is_refused() {
        let refused = settings(&[("FISSION_INTERNAL_AUTH_SECRET", " ")]).unwrap_err();
        assert!(refused.to_string().contains("FISSION_INTERNAL_AUTH_SECRET"), "{refused}");
    }

    #[test]
    fn a_key_that_is_set_and_empty_is_refused_and_none_is_none() {
        let read = |value: Option<&str>| {
            let value = value.map(str::to_owned);
            SidecarSettings::from(|name| value.clone().filter(|_| name == "FISSION_FETCHER_KEY"))
        };
        assert!(read(Some("")).unwrap_err().to_string().contains("FISSION_FETCHER_KEY"));
        assert_eq!(read(Some("0aff")).unwrap().fetcher_keys, [vec![0x0a, 0xff]]);
        assert!(read(None).unwrap().fetcher_keys.is_empty());
    }

    #[test]
    fn registries_that_may_be_asked_over_plain_http_are_a_list() {
        let given = settings(&[("FETCHER_ALLOW_INSECURE_REGISTRIES", "registry:5000, 10.0.0.1,")]).unwrap();
        assert_eq!(given.insecure_registries, ["registry:5000", "10.0.0.1"]);
        assert!(settings(&[]).unwrap().insecure_registries.is_empty());
    }

    #[test]
    fn mistakes_name_the_variable() {
        for (name, value) in
            [("FISSION_TENANCY_MODE", "some"), ("METRICS_ADDR", "x"), ("GRACEFUL_SHUTDOWN_TIMEOUT", "soon")]
        {
            assert!(settings(&[(name, value)]).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn durations_are_gos_or_seconds() {
        assert_eq!(seconds("75s"), Some(Duration::from_secs(75)));
        assert_eq!(seconds("5"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("1m30s"), Some(Duration::from_secs(90)));
    }
}
