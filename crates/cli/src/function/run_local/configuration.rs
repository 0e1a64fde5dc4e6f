//! What the function is configured with: variables, secrets and config maps, from the command line, from files, or from
//! the platform commands talk to.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use fission_api::{FunctionSpec, ObjectFileReference};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Secret};
use kube::Api;
use kube::api::PostParams;

use crate::failure::{Doing, Failure, Outcome};
use crate::flags::{key_values, metadata};
use crate::io::Io;
use crate::noun::explain;
use crate::session::Session;

/// Variables, secrets and config maps of the function.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigurationFlags {
    /// Environment variable, as K=V; may be repeated
    #[arg(long, short, value_name = "K=V")]
    pub(crate) env_var: Vec<String>,
    /// File with variables, one K=V a line; --env-var wins. May be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) env_from: Vec<String>,
    /// Secret: NAME/KEY=VALUE, NAME=FILE of K=V lines, NAME=FOLDER of a file per key, or NAME of a platform's; repeatable
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Vec<String>,
    /// Config map, given like a secret; may be repeated
    #[arg(long, value_name = "CONFIGMAP")]
    pub(crate) configmap: Vec<String>,
    /// Put a secret into another folder below /secrets than NAMESPACE/NAME, as NAME=PATH; may be repeated
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) secret_mount: Vec<String>,
    /// Put a config map into another folder below /configs than NAMESPACE/NAME, as NAME=PATH; may be repeated
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) configmap_mount: Vec<String>,
}

/// Values by key.
type Values = BTreeMap<String, Vec<u8>>;

/// Which of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    ConfigMap,
}

/// Everything the flags mean.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    variables: BTreeMap<String, String>,
    secrets: BTreeMap<String, Values>,
    config_maps: BTreeMap<String, Values>,
    secret_mounts: BTreeMap<String, String>,
    config_map_mounts: BTreeMap<String, String>,
}

impl ConfigurationFlags {
    /// Reads the files, and from the platform commands talk to what is only named.
    pub(super) async fn gather(&self, s: &mut Session) -> Outcome<Configuration> {
        let mut all = Configuration::default();
        for file in &self.env_from {
            all.variables.extend(lines_of(&s.io.path(file))?);
        }
        all.variables.extend(key_values("--env-var", &self.env_var)?);
        for (kind, given) in [(Kind::Secret, &self.secret), (Kind::ConfigMap, &self.configmap)] {
            for text in given {
                let (name, values) = match Given::of(text) {
                    Given::Named(name) => (name, from_platform(kind, name, s).await?),
                    given => given.values(kind, &s.io)?,
                };
                all.of(kind).entry(name.to_owned()).or_default().extend(values);
            }
        }
        all.secret_mounts = key_values("--secret-mount", &self.secret_mount)?.into_iter().collect();
        all.config_map_mounts = key_values("--configmap-mount", &self.configmap_mount)?.into_iter().collect();
        for (flag, mounts, objects) in [
            ("--secret-mount", &all.secret_mounts, &all.secrets),
            ("--configmap-mount", &all.config_map_mounts, &all.config_maps),
        ] {
            if let Some(name) = mounts.keys().find(|name| !objects.contains_key(*name)) {
                let other = flag.trim_end_matches("-mount");
                return Err(Failure::new(format_args!("{flag} names '{name}', which no {other} gives")));
            }
        }
        Ok(all)
    }
}

/// A secret or config map as one flag gives it.
#[derive(Debug, PartialEq)]
enum Given<'a> {
    Named(&'a str),
    Literal { name: &'a str, key: &'a str, value: &'a str },
    Path { name: &'a str, path: &'a str },
}

impl<'a> Given<'a> {
    fn of(text: &'a str) -> Self {
        match text.split_once('=') {
            None => Self::Named(text),
            Some((place, value)) => match place.split_once('/') {
                Some((name, key)) => Self::Literal { name, key, value },
                None => Self::Path { name: place, path: value },
            },
        }
    }

    fn values(self, kind: Kind, io: &Io) -> Outcome<(&'a str, Values)> {
        match self {
            Self::Named(name) => Ok((name, Values::new())),
            Self::Literal { name, key, value } => Ok((name, [(key.to_owned(), value.as_bytes().to_vec())].into())),
            Self::Path { name, path } => {
                let path = io.path(path);
                let doing = || format!("{} '{name}': cannot read {}", kind.word(), path.display());
                if !path.is_dir() {
                    let lines = lines_of(&path)
                        .map_err(|failure| failure.while_doing(format_args!("{} '{name}'", kind.word())))?;
                    return Ok((name, lines.into_iter().map(|(key, value)| (key, value.into_bytes())).collect()));
                }
                let mut values = Values::new();
                for entry in std::fs::read_dir(&path).doing(doing())?.flatten() {
                    if entry.path().is_file() {
                        let key = entry.file_name().to_string_lossy().into_owned();
                        values.insert(key, std::fs::read(entry.path()).doing(doing())?);
                    }
                }
                Ok((name, values))
            }
        }
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::ConfigMap => "config map",
        }
    }
}

/// `K=V` lines. Empty ones and those that begin with `#` say nothing; quotes around a whole value are not part of it.
fn lines_of(file: &Path) -> Outcome<Vec<(String, String)>> {
    let text = std::fs::read_to_string(file).doing(format_args!("cannot read {}", file.display()))?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| Failure::new(format_args!("{}:{}: not of the form K=V", file.display(), number + 1)))?;
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        pairs.push((name.trim().to_owned(), quoted.unwrap_or(value).to_owned()));
    }
    Ok(pairs)
}

/// A secret or config map of the platform commands talk to.
async fn from_platform(kind: Kind, name: &str, s: &mut Session) -> Outcome<Values> {
    let word = kind.word();
    let instead = |failure: Failure| {
        failure.hint(format_args!(
            "or give its values: NAME/KEY=VALUE, NAME=FILE or NAME=FOLDER, such as {name}/key=value"
        ))
    };
    let client = s
        .client()
        .await
        .map_err(|failure| instead(failure.while_doing(format_args!("{word} '{name}' is to come from a platform"))))?;
    let namespace = s.namespace.clone();
    let doing = format!("cannot read {word} '{name}' of namespace '{namespace}'");
    let values = match kind {
        Kind::Secret => {
            let found = Api::<Secret>::namespaced(client, &namespace).get_opt(name).await;
            let found = found.map_err(|error| instead(explain(s, &doing, error)))?;
            found.map(|secret| secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect())
        }
        Kind::ConfigMap => {
            let found = Api::<ConfigMap>::namespaced(client, &namespace).get_opt(name).await;
            let found = found.map_err(|error| instead(explain(s, &doing, error)))?;
            found.map(|map| {
                let text = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
                let bytes = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
                text.chain(bytes).collect()
            })
        }
    };
    values.ok_or_else(|| {
        let failure =
            Failure::new(format_args!("there is no {word} '{name}' in namespace '{namespace}' of {}", s.server()));
        instead(failure)
    })
}

impl Configuration {
    fn of(&mut self, kind: Kind) -> &mut BTreeMap<String, Values> {
        match kind {
            Kind::Secret => &mut self.secrets,
            Kind::ConfigMap => &mut self.config_maps,
        }
    }

    /// Creates the secrets and config maps.
    pub(super) async fn store(&self, s: &mut Session) -> Outcome {
        let (client, namespace) = (s.client().await?, s.namespace.clone());
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        for (name, values) in &self.secrets {
            let data = values.iter().map(|(key, value)| (key.clone(), ByteString(value.clone()))).collect();
            let metadata = metadata(name, Some(namespace.clone()));
            let secret = Secret { metadata, data: Some(data), ..Secret::default() };
            let created = secrets.create(&PostParams::default(), &secret).await;
            created.map_err(|error| explain(s, &format!("cannot use secret '{name}'"), error))?;
        }
        let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
        for (name, values) in &self.config_maps {
            let mut map = ConfigMap { metadata: metadata(name, Some(namespace.clone())), ..ConfigMap::default() };
            for (key, value) in values {
                match std::str::from_utf8(value) {
                    Ok(text) => drop(map.data.get_or_insert_default().insert(key.clone(), text.to_owned())),
                    Err(_) => {
                        let bytes = ByteString(value.clone());
                        map.binary_data.get_or_insert_default().insert(key.clone(), bytes);
                    }
                }
            }
            let created = maps.create(&PostParams::default(), &map).await;
            created.map_err(|error| explain(s, &format!("cannot use config map '{name}'"), error))?;
        }
        Ok(())
    }

    /// Has a function use all of it.
    pub(super) fn apply(&self, spec: &mut FunctionSpec, namespace: &str) {
        let references = |objects: &BTreeMap<String, Values>, mounts: &BTreeMap<String, String>| {
            let reference = |name: &String| ObjectFileReference {
                namespace: namespace.to_owned(),
                name: name.clone(),
                mount_path: mounts.get(name).cloned().unwrap_or_default(),
            };
            (!objects.is_empty()).then(|| objects.keys().map(reference).collect())
        };
        spec.secrets = references(&self.secrets, &self.secret_mounts);
        spec.configmaps = references(&self.config_maps, &self.config_map_mounts);
        let variable = |(name, value): (&String, &String)| EnvVar {
            name: name.clone(),
            value: Some(value.clone()),
            ..EnvVar::default()
        };
        spec.env = (!self.variables.is_empty()).then(|| self.variables.iter().map(variable).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_sign_tells_a_literal_from_a_path() {
        assert_eq!(Given::of("smtp"), Given::Named("smtp"));
        assert_eq!(Given::of("smtp/user=a=b/c"), Given::Literal { name: "smtp", key: "user", value: "a=b/c" });
        assert_eq!(Given::of("smtp=../dir/x=y"), Given::Path { name: "smtp", path: "../dir/x=y" });
    }

    #[test]
    fn a_file_of_variables_has_comments_quotes_and_line_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".env");
        std::fs::write(&file, "# all\n\nA=1\nexport B = \"two words\"\nC='x=y'\nD=\n").unwrap();
        let pairs = lines_of(&file).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
        std::fs::write(&file, "A=1\nnothing\n").unwrap();
        assert!(lines_of(&file).unwrap_err().to_string().ends_with(".env:2: not of the form K=V"));
    }

    #[test]
    fn a_folder_gives_a_value_per_file_and_a_file_one_per_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        std::fs::write(dir.path().join("keys/tls.key"), [0xff, 1]).unwrap();
        std::fs::write(dir.path().join("lines"), "user=me\n").unwrap();
        let io = Io::to(Box::new(std::io::sink()), Box::new(std::io::sink()), dir.path().to_owned());
        let values = |text| Given::of(text).values(Kind::Secret, &io).unwrap();
        assert_eq!(values("a=keys"), ("a", [("tls.key".to_owned(), vec![0xff, 1])].into()));
        assert_eq!(values("a=lines"), ("a", [("user".to_owned(), b"me".to_vec())].into()));
        assert!(Given::of("a=none").values(Kind::ConfigMap, &io).unwrap_err().to_string().contains("config map 'a'"));
    }
}
