//! One trigger, compiled: what it matches and where it leads.

use std::sync::Arc;

use fission_api::{FunctionReferenceType, HTTPTrigger};
use fission_rpc::cache::ObjectKey;
use jiff::Timestamp;

use super::methods::Methods;
use super::pattern::{Template, TemplateError, is_template};
use crate::cors::{Cors, CorsError};
use crate::functions::{Backend, FunctionSlot};
use crate::metrics::CallStats;

/// Which of two triggers with the same shape wins: the older one, then the smaller namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seniority {
    created: Timestamp,
    trigger: ObjectKey,
}

impl Seniority {
    pub(crate) fn of(trigger: &HTTPTrigger) -> Self {
        let created = trigger.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        Self { created, trigger: ObjectKey::of(trigger) }
    }
}

/// Whether a path must match as a whole or may go on below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// `relativeurl`.
    Exact,
    /// `prefix`.
    Subtree,
}

/// What a trigger matches.
#[derive(Debug)]
pub(crate) struct Shape {
    /// In lower case; empty for any.
    pub(crate) host: String,
    /// As the user wrote it.
    pub(crate) path: Arc<str>,
    pub(crate) reach: Reach,
    /// Set when the path has variables.
    pub(crate) template: Option<Template>,
    pub(crate) methods: Methods,
}

impl Shape {
    pub(crate) fn of(trigger: &HTTPTrigger) -> Result<Self, TemplateError> {
        let spec = &trigger.spec;
        let (path, reach) = match spec.prefix() {
            Some(prefix) => (prefix, Reach::Subtree),
            None => (spec.relative_url.as_str(), Reach::Exact),
        };
        let template = if is_template(path) { Some(Template::compile(path, reach == Reach::Subtree)?) } else { None };
        let mut methods = Methods::of(spec.all_methods());
        if spec.cors_config.is_some() && !methods.is_empty() {
            methods = methods.with(&http::Method::OPTIONS);
        }
        Ok(Self { host: spec.host.to_ascii_lowercase(), path: path.into(), reach, template, methods })
    }

    /// Where the table keeps it: host and literal part of the path. Hosts have no `/`, so keys are unambiguous.
    pub(crate) fn key(&self) -> Arc<str> {
        let path = self.template.as_ref().map_or(&self.path, |template| &template.head);
        format!("{}{path}", self.host).into()
    }

    /// Same host, path and reach: such triggers compete for the methods both name.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        self.reach == other.reach && self.path == other.path && self.host == other.host
    }
}

/// One function a route may lead to.
#[derive(Debug)]
pub(crate) struct Target {
    /// Sum of the weights up to and including this target's.
    pub(crate) weight_end: u64,
    pub(crate) function: Arc<FunctionSlot>,
    pub(crate) stats: Arc<CallStats>,
}

/// A compiled trigger.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) trigger: ObjectKey,
    pub(crate) seniority: Seniority,
    pub(crate) shape: Shape,
    pub(crate) keep_prefix: bool,
    pub(crate) cors: Option<Cors>,
    /// `invocationMode: async`.
    pub(crate) queued: bool,
    /// Never empty.
    pub(crate) targets: Vec<Target>,
}

/// A function chosen for one request.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) backend: Arc<Backend>,
    pub(crate) stats: Arc<CallStats>,
}

impl Route {
    /// The function this request goes to; `None` while one the route names does not exist.
    pub(crate) fn choose(&self) -> Option<Chosen> {
        let target = match self.targets.as_slice() {
            [only] => only,
            several => {
                if several.iter().any(|target| !target.function.exists()) {
                    return None;
                }
                pick(several)?
            }
        };
        Some(Chosen { backend: target.function.load()?, stats: target.stats.clone() })
    }

    /// Whether every function it names exists.
    pub(crate) fn is_live(&self) -> bool {
        !self.targets.is_empty() && self.targets.iter().all(|target| target.function.exists())
    }

    /// The template's variables and their values.
    pub(crate) fn variables(&self, path: &str, mut each: impl FnMut(&str, &str)) {
        if let Some(template) = &self.shape.template {
            template.variables(path).for_each(|(name, value)| each(name, value));
        }
    }

    /// How many bytes of a matching path are taken off before the function sees it; `None` leaves just `/`.
    pub(crate) fn stripped(&self, path: &str) -> Option<usize> {
        match (self.shape.reach, self.keep_prefix, &self.shape.template) {
            (Reach::Exact, _, _) => None,
            (Reach::Subtree, true, _) => Some(0),
            (Reach::Subtree, false, Some(template)) => template.covers(path),
            (Reach::Subtree, false, None) => Some(self.shape.path.strip_suffix('/').unwrap_or(&self.shape.path).len()),
        }
    }
}

/// The first target whose share contains a random point; the first of all when no weight is positive.
fn pick(targets: &[Target]) -> Option<&Target> {
    let total = targets.last()?.weight_end;
    if total == 0 {
        return targets.first();
    }
    let point = rand::random_range(0..total);
    targets.iter().find(|target| point < target.weight_end)
}

/// Why a trigger has no route at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Its path cannot be compiled.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Its cross-origin rules cannot be used.
    #[error(transparent)]
    Cors(#[from] CorsError),
    /// It follows an alias or pins a version.
    #[error("function {function} cannot be resolved through {what}: nothing resolves {kind} on this platform")]
    Unresolvable {
        /// Name of the function.
        function: String,
        /// `alias x` or `version x`.
        what: String,
        /// `aliases` or `versions`.
        kind: &'static str,
    },
    /// It names no function.
    #[error("functionref names no function")]
    NoFunction,
}

/// Names and weights of the functions a trigger leads to.
pub(crate) fn weighted_functions(trigger: &HTTPTrigger) -> Result<Vec<(String, u64)>, Fault> {
    let reference = &trigger.spec.functionref;
    if reference.kind == FunctionReferenceType::Weights {
        let weights = reference.functionweights.iter().flatten();
        let named: Vec<_> = weights.map(|(name, weight)| (name.clone(), u64::try_from(*weight).unwrap_or(0))).collect();
        return if named.is_empty() { Err(Fault::NoFunction) } else { Ok(named) };
    }
    let unresolvable = |what: String, kind| Fault::Unresolvable { function: reference.name.clone(), what, kind };
    if !reference.alias.is_empty() {
        return Err(unresolvable(format!("alias {}", reference.alias), "aliases"));
    }
    if !reference.version.is_empty() {
        return Err(unresolvable(format!("version {}", reference.version), "versions"));
    }
    if reference.name.is_empty() { Err(Fault::NoFunction) } else { Ok(vec![(reference.name.clone(), 1)]) }
}
