//! What a function is configured with: its secrets and config maps as files, and its environment variables.
//!
//! [`resolve`] is pure: declarations in, files and variables or an explained [`Problem`] out. It decides what every
//! backend delivers; how, is the backend's. Values are never printed, not even by `Debug`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use fission_api::{Function, ObjectFileReference, is_reserved_variable};
use fission_rpc::cache::ObjectKey;
use k8s_openapi::api::core::v1::{ConfigMap, EnvFromSource, EnvVar, Secret};

/// Bytes of all files of one function. 8 MiB: eight objects of the largest size Kubernetes takes; each instance has a
/// copy of its own.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// Bytes of all environment variables of one function, names and values. 1 MiB: half of what Linux gives a new program
/// for its arguments and variables together.
pub const MAX_ENV_BYTES: usize = 1 << 20;
/// Bytes of one environment variable, name and value. Linux starts no program with a longer one (`MAX_ARG_STRLEN` is
/// 128 KiB, with `=` and the end).
pub const MAX_VARIABLE_BYTES: usize = (128 << 10) - 2;

/// Which directory of an instance a file is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    /// `/secrets`.
    Secrets,
    /// `/configs`.
    Configs,
}

impl Root {
    /// Its path inside an instance.
    pub fn path(self) -> &'static str {
        match self {
            Root::Secrets => "/secrets",
            Root::Configs => "/configs",
        }
    }
}

/// One key of a secret or config map, as a file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct File {
    /// The directory it is below.
    pub root: Root,
    /// Its path below the root: plain names with `/` between them, never empty, `.` or `..`.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({} bytes)", self.root.path(), self.path, self.content.len())
    }
}

/// What an instance is given beside the code, before any of it runs.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// Files; no two of them at the same place, none below another.
    pub files: Vec<File>,
    /// Environment variables by name.
    pub env: BTreeMap<String, String>,
}

impl Configuration {
    /// Changes when a file or variable does, or which there are. Whoever may not see the values may not see it.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.env.keys().collect();
        f.debug_struct("Configuration").field("files", &self.files).field("env", &names).finish()
    }
}

/// A Secret or a ConfigMap that a function refers to, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A Secret, by name.
    Secret(String),
    /// A ConfigMap, by name.
    ConfigMap(String),
}

impl Source {
    fn secret(name: &str) -> Self {
        Self::Secret(name.to_owned())
    }

    fn config_map(name: &str) -> Self {
        Self::ConfigMap(name.to_owned())
    }

    fn name(&self) -> &str {
        match self {
            Self::Secret(name) | Self::ConfigMap(name) => name,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::ConfigMap(_) => "config map",
        }
    }

    /// A command that makes it. `apply`, because it also changes one that is there.
    fn command(&self, namespace: &str) -> String {
        let what = match self {
            Self::Secret(name) => format!("secret generic {name}"),
            Self::ConfigMap(name) => format!("configmap {name}"),
        };
        format!(
            "kubectl create {what} --namespace {namespace} --from-literal KEY=VALUE --dry-run=client -o yaml | kubectl \
             apply -f -"
        )
    }
}

/// Why a function cannot be configured. The texts are for the user and hold no values.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is told by its text")]
pub enum Problem {
    #[error("{what} does not exist")]
    Missing { what: String, create: String },
    #[error("variable {variable} takes its value from key {key:?} of {what}, which has no such key; it has {has}")]
    NoKey { variable: String, key: String, what: String, has: String },
    #[error("{first} and {second} are both to be delivered as {path}")]
    Collision { path: String, first: String, second: String },
    #[error("{path} is no path a file of {what} can be delivered at")]
    Path { path: String, what: String },
    #[error("variable {name}, from {what}, {why}")]
    Variable { name: String, what: String, why: &'static str },
    #[error("{what} are {bytes} bytes; at most {limit} bytes can be delivered")]
    TooLarge { what: String, bytes: usize, limit: usize },
}

impl Problem {
    /// What to do now.
    pub(crate) fn hint(&self, function: &str) -> String {
        match self {
            Self::Missing { create, .. } => create.clone(),
            Self::NoKey { .. } => {
                "add the key to it, name another one, or mark the reference as optional in the function".to_owned()
            }
            Self::Collision { .. } | Self::Path { .. } => {
                format!("give one of them another mountPath: kubectl edit function {function}")
            }
            Self::Variable { .. } => {
                "rename the key, set a prefix, name only the keys you want (--env-from-secret NAME/KEY:VARIABLE), or \
                 deliver them as files (--secret, --configmap)"
                    .to_owned()
            }
            Self::TooLarge { .. } => "deliver less, or put large data into the package".to_owned(),
        }
    }
}

/// Every object a function refers to.
pub fn needed(function: &Function) -> BTreeSet<Source> {
    references(function).map(|(source, _)| source).collect()
}

/// The objects a function refers to and cannot do without.
pub(crate) fn required(function: &Function) -> BTreeSet<Source> {
    references(function).filter(|(_, optional)| !optional).map(|(source, _)| source).collect()
}

/// Whether a function refers to an object, needed or not.
pub(crate) fn refers_to(function: &Function, source: &Source) -> bool {
    references(function).any(|(found, _)| found == *source)
}

/// Whether a function refers to any object.
pub(crate) fn refers(function: &Function) -> bool {
    references(function).next().is_some()
}

/// Every reference, and whether it is optional.
fn references(function: &Function) -> impl Iterator<Item = (Source, bool)> {
    let spec = &function.spec;
    let secrets = spec.secrets.iter().flatten().map(|file| (Source::secret(&file.name), false));
    let maps = spec.configmaps.iter().flatten().map(|file| (Source::config_map(&file.name), false));
    let env = spec.env.iter().flatten().filter_map(|variable| Key::of(variable).map(|key| (key.source, key.optional)));
    let from = spec.env_from.iter().flatten().filter_map(whole);
    secrets.chain(maps).chain(env).chain(from)
}

/// One key of an object, as the value of a variable.
struct Key<'a> {
    source: Source,
    key: &'a str,
    optional: bool,
}

impl<'a> Key<'a> {
    fn of(variable: &'a EnvVar) -> Option<Self> {
        let from = variable.value_from.as_ref()?;
        let secret = from.secret_key_ref.as_ref().map(|key| Self {
            source: Source::secret(&key.name),
            key: &key.key,
            optional: key.optional.unwrap_or_default(),
        });
        secret.or_else(|| {
            from.config_map_key_ref.as_ref().map(|key| Self {
                source: Source::config_map(&key.name),
                key: &key.key,
                optional: key.optional.unwrap_or_default(),
            })
        })
    }
}

/// The object whose keys all become variables, and whether it may be missing.
fn whole(from: &EnvFromSource) -> Option<(Source, bool)> {
    let secret = from.secret_ref.as_ref().map(|secret| (Source::secret(&secret.name), secret.optional));
    let found =
        secret.or_else(|| from.config_map_ref.as_ref().map(|map| (Source::config_map(&map.name), map.optional)))?;
    Some((found.0, found.1.unwrap_or_default()))
}

/// Where objects are looked up, by name in the function's namespace.
pub struct Lookup<'a> {
    /// Secrets.
    pub secret: &'a dyn Fn(&str) -> Option<Arc<Secret>>,
    /// Config maps.
    pub config_map: &'a dyn Fn(&str) -> Option<Arc<ConfigMap>>,
}

/// Everything a function is to be given, or why it cannot be.
pub fn resolve(function: &Function, lookup: &Lookup<'_>) -> Result<Configuration, Problem> {
    let objects = Objects { namespace: function.metadata.namespace.as_deref().unwrap_or_default(), lookup };
    let mut files = Files::default();
    for reference in function.spec.secrets.iter().flatten() {
        files.add(Root::Secrets, reference, Source::secret(&reference.name), &objects)?;
    }
    for reference in function.spec.configmaps.iter().flatten() {
        files.add(Root::Configs, reference, Source::config_map(&reference.name), &objects)?;
    }
    let files = files.finish(function)?;
    Ok(Configuration { files, env: variables(function, &objects)? })
}

/// The objects of one namespace.
struct Objects<'a> {
    namespace: &'a str,
    lookup: &'a Lookup<'a>,
}

impl Objects<'_> {
    fn describe(&self, source: &Source) -> String {
        let key = ObjectKey { namespace: self.namespace.to_owned(), name: source.name().to_owned() };
        format!("{} {key}", source.word())
    }

    /// The keys of an object; None when there is no such object.
    fn find(&self, source: &Source) -> Option<BTreeMap<String, Vec<u8>>> {
        let bytes = |(key, value): (&String, &k8s_openapi::ByteString)| (key.clone(), value.0.clone());
        match source {
            Source::Secret(name) => {
                (self.lookup.secret)(name).map(|secret| secret.data.iter().flatten().map(bytes).collect())
            }
            Source::ConfigMap(name) => (self.lookup.config_map)(name).map(|map| {
                let text = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
                text.chain(map.binary_data.iter().flatten().map(bytes)).collect()
            }),
        }
    }

    fn need(&self, source: &Source) -> Result<BTreeMap<String, Vec<u8>>, Problem> {
        self.find(source)
            .ok_or_else(|| Problem::Missing { what: self.describe(source), create: source.command(self.namespace) })
    }
}

/// Files gathered so far.
#[derive(Default)]
struct Files {
    files: BTreeMap<(Root, String), (Vec<u8>, String)>,
    bytes: usize,
}

impl Files {
    fn add(
        &mut self,
        root: Root,
        reference: &ObjectFileReference,
        source: Source,
        objects: &Objects<'_>,
    ) -> Result<(), Problem> {
        let what = objects.describe(&source);
        let directory = match reference.mount_path.as_str() {
            "" => format!("{}/{}", objects.namespace, reference.name),
            given => given.to_owned(),
        };
        for (key, content) in objects.need(&source)? {
            let path = format!("{directory}/{key}");
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            if !path.split('/').all(plain) || key.contains('/') {
                return Err(Problem::Path { path: format!("{}/{path}", root.path()), what });
            }
            self.bytes = self.bytes.saturating_add(content.len());
            if let Some((_, first)) = self.files.insert((root, path.clone()), (content, what.clone())) {
                return Err(Problem::Collision { path: format!("{}/{path}", root.path()), first, second: what });
            }
        }
        Ok(())
    }

    fn finish(self, function: &Function) -> Result<Vec<File>, Problem> {
        if self.bytes > MAX_FILE_BYTES {
            let what = format!("the secrets and config maps of function {}", ObjectKey::of(function));
            return Err(Problem::TooLarge { what, bytes: self.bytes, limit: MAX_FILE_BYTES });
        }
        for ((root, path), (_, second)) in &self.files {
            for (end, _) in path.match_indices('/') {
                if let Some((_, first)) = self.files.get(&(*root, path[..end].to_owned())) {
                    let path = format!("{}/{}", root.path(), &path[..end]);
                    return Err(Problem::Collision { path, first: first.clone(), second: second.clone() });
                }
            }
        }
        Ok(self.files.into_iter().map(|((root, path), (content, _))| File { root, path, content }).collect())
    }
}

/// The variables: whole objects first, in order, then single ones; a later one wins.
fn variables(function: &Function, objects: &Objects<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let mut env = BTreeMap::new();
    for from in function.spec.env_from.iter().flatten() {
        let Some((source, optional)) = whole(from) else { continue };
        let data = if optional { objects.find(&source).unwrap_or_default() } else { objects.need(&source)? };
        for (key, value) in data {
            let name = format!("{}{key}", from.prefix.as_deref().unwrap_or_default());
            let what = format!("key {key:?} of {}", objects.describe(&source));
            set(&mut env, name, value, what)?;
        }
    }
    for variable in function.spec.env.iter().flatten() {
        let Some(key) = Key::of(variable) else {
            let literal = variable.value.clone().unwrap_or_default().into_bytes();
            set(&mut env, variable.name.clone(), literal, "the function's env".to_owned())?;
            continue;
        };
        let data =
            if key.optional { objects.find(&key.source).unwrap_or_default() } else { objects.need(&key.source)? };
        let what = objects.describe(&key.source);
        match data.get(key.key) {
            Some(value) => {
                let what = format!("key {:?} of {what}", key.key);
                set(&mut env, variable.name.clone(), value.clone(), what)?;
            }
            None if key.optional => {}
            None => {
                let has: Vec<&str> = data.keys().map(String::as_str).collect();
                let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
                let (variable, key) = (variable.name.clone(), key.key.to_owned());
                return Err(Problem::NoKey { variable, key, what, has });
            }
        }
    }
    let bytes = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_ENV_BYTES {
        let what = format!("the environment variables of function {}", ObjectKey::of(function));
        return Err(Problem::TooLarge { what, bytes, limit: MAX_ENV_BYTES });
    }
    Ok(env)
}

fn set(env: &mut BTreeMap<String, String>, name: String, value: Vec<u8>, what: String) -> Result<(), Problem> {
    let bytes = name.len() + value.len();
    if bytes > MAX_VARIABLE_BYTES {
        return Err(Problem::TooLarge {
            what: format!("variable {name}, from {what},"),
            bytes,
            limit: MAX_VARIABLE_BYTES,
        });
    }
    let refused = |name, why| Err(Problem::Variable { name, what, why });
    if name.is_empty() || name.contains(['=', '\0']) {
        return refused(name, "has no name that a variable can have");
    }
    if is_reserved_variable(&name) {
        return refused(name, "has a name that is reserved for the platform");
    }
    match String::from_utf8(value) {
        Ok(value) if !value.contains('\0') => {
            env.insert(name, value);
            Ok(())
        }
        _ => refused(name, "is not text, which a variable must be"),
    }
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
