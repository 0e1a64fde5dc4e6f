//! What OpenShift does with a pod of an ordinary project: its security context constraints `restricted-v2` and
//! `restricted-v3`.
//!
//! A guard against regressions, not a proof: a second writing of OpenShift's admission, held to verdicts that the real
//! code gave (the golden vectors in the tests). It says [`admit`] of the spec of a pod which constraint takes it and what
//! the pod is then, or every reason why none does.
//!
//! Invariant: a pod is tried against `restricted-v2` first, which gives it a user of the project's range; `restricted-v3`
//! takes only pods in a user namespace of their own.

use serde_json::{Map, Value, json};

/// Volumes that both constraints allow.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// The only capability a container may add.
const ADDABLE: &str = "NET_BIND_SERVICE";
/// Users and groups of `restricted-v3`, which mean others outside the pod.
const IN_USER_NAMESPACE: Range = Range { first: 1000, last: 65534 };

/// Numbers of users or groups, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first, which a pod gets that names none.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Range {
    fn has(self, number: i64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// What OpenShift noted at a project when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// `openshift.io/sa.scc.uid-range`.
    pub users: Range,
    /// `openshift.io/sa.scc.mcs`.
    pub level: String,
}

impl Project {
    /// The project the golden vectors were measured in.
    pub fn measured() -> Self {
        Self { users: Range { first: 1_000_810_000, last: 1_000_819_999 }, level: "s0:c28,c17".to_owned() }
    }
}

/// What became of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A constraint took it.
    Admitted {
        /// Name of the constraint.
        by: &'static str,
        /// The spec as the constraint completed it.
        spec: Value,
    },
    /// None did; each reason begins with the constraint's name.
    Denied(Vec<String>),
}

impl Verdict {
    /// Name of the constraint that took the pod.
    pub fn by(&self) -> Option<&'static str> {
        match self {
            Self::Admitted { by, .. } => Some(by),
            Self::Denied(_) => None,
        }
    }
}

/// Tries the spec of a pod against the constraints every user of OpenShift has.
pub fn admit(spec: &Value, project: &Project) -> Verdict {
    let level = project.level.as_str();
    let v2 = Constraint {
        name: "restricted-v2",
        users: project.users,
        // Of the project's groups only the first is taken.
        fs_groups: Range { first: project.users.first, last: project.users.first },
        supplemental: None,
        level,
        in_user_namespace: false,
    };
    let v3 = Constraint {
        name: "restricted-v3",
        users: IN_USER_NAMESPACE,
        fs_groups: IN_USER_NAMESPACE,
        supplemental: Some(IN_USER_NAMESPACE),
        level,
        in_user_namespace: true,
    };
    let mut refusals = Vec::new();
    for constraint in [v2, v3] {
        let mut attempt = Attempt { refusals: Vec::new(), constraint: &constraint };
        let spec = attempt.run(spec.clone());
        if attempt.refusals.is_empty() {
            return Verdict::Admitted { by: constraint.name, spec };
        }
        refusals.extend(attempt.refusals);
    }
    Verdict::Denied(refusals)
}

/// Every container of a pod, with the field it is in and its index.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |field| {
        spec[field]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(move |(index, container)| (field, index, container))
    })
}

/// Kinds of a volume: every key but its name.
pub(crate) fn kinds_of(volume: &Value) -> impl Iterator<Item = &str> {
    volume.as_object().into_iter().flat_map(Map::keys).map(String::as_str).filter(|key| *key != "name")
}

struct Constraint<'a> {
    name: &'static str,
    users: Range,
    fs_groups: Range,
    /// `None`: any.
    supplemental: Option<Range>,
    level: &'a str,
    in_user_namespace: bool,
}

/// One pod before one constraint.
struct Attempt<'a> {
    refusals: Vec<String>,
    constraint: &'a Constraint<'a>,
}

impl Attempt<'_> {
    fn run(&mut self, mut spec: Value) -> Value {
        self.host(&spec);
        self.volumes(&spec);
        self.pod_context(&mut spec);
        let pod = spec["securityContext"].clone();
        for field in ["initContainers", "containers", "ephemeralContainers"] {
            let Some(all) = spec.get_mut(field).and_then(Value::as_array_mut) else { continue };
            for (index, container) in all.iter_mut().enumerate() {
                self.container(&format!(".{field}[{index}]"), container, &pod);
            }
        }
        spec
    }

    fn refuse(&mut self, reason: impl AsRef<str>) {
        self.refusals.push(format!("{}: {}", self.constraint.name, reason.as_ref()));
    }

    fn host(&mut self, spec: &Value) {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec[field] == true {
                self.refuse(format!(".spec.{field}: true: it is not allowed to be used"));
            }
        }
        if self.constraint.in_user_namespace && spec["hostUsers"] != false {
            self.refuse(format!(".spec.hostUsers: {}: must be set to false", spec["hostUsers"]));
        }
    }

    fn volumes(&mut self, spec: &Value) {
        for (index, volume) in spec["volumes"].as_array().into_iter().flatten().enumerate() {
            for kind in kinds_of(volume).filter(|kind| !VOLUMES.contains(kind)) {
                self.refuse(format!(".spec.volumes[{index}]: {kind} volumes are not allowed to be used"));
            }
        }
    }

    fn pod_context(&mut self, spec: &mut Value) {
        let context = object(spec, "securityContext");
        let groups = self.constraint.fs_groups;
        match context.get("fsGroup").and_then(Value::as_i64) {
            None => drop(context.insert("fsGroup".into(), groups.first.into())),
            Some(group) if groups.has(group) => {}
            Some(group) => {
                self.refuse(format!(".spec.securityContext.fsGroup: [{group}]: {group} is not an allowed group"));
            }
        }
        if let Some(allowed) = self.constraint.supplemental {
            let given = context.entry("supplementalGroups").or_insert_with(|| json!([allowed.first]));
            for group in given.as_array().into_iter().flatten().filter_map(Value::as_i64) {
                if !allowed.has(group) {
                    self.refuse(format!(".spec.securityContext.supplementalGroups: {group} is not an allowed group"));
                }
            }
        }
        self.user(".spec.securityContext", context);
        self.linux(".spec.securityContext", context);
        context.entry("seLinuxOptions").or_insert_with(|| json!({ "level": self.constraint.level }));
        context.entry("seccompProfile").or_insert_with(|| json!({ "type": "RuntimeDefault" }));
    }

    fn container(&mut self, place: &str, container: &mut Value, pod: &Value) {
        for port in container["ports"].as_array().into_iter().flatten() {
            if port["hostPort"].as_i64().is_some_and(|port| port != 0) {
                self.refuse(format!("{place}.hostPort: {}: Host ports are not allowed to be used", port["hostPort"]));
            }
        }
        let context = object(container, "securityContext");
        if context.get("privileged") == Some(&json!(true)) {
            self.refuse(format!("{place}.privileged: true: Privileged containers are not allowed"));
        }
        match context.get("allowPrivilegeEscalation") {
            Some(Value::Bool(true)) => {
                self.refuse(format!("{place}.allowPrivilegeEscalation: true: it is not allowed"))
            }
            _ => drop(context.insert("allowPrivilegeEscalation".into(), false.into())),
        }
        self.user(place, context);
        self.linux(place, context);
        self.capabilities(place, context);
        // The pod's user, where it names one, is the containers'.
        if pod["runAsUser"].is_null() {
            context.entry("runAsUser").or_insert_with(|| self.constraint.users.first.into());
        }
        if pod["runAsNonRoot"].is_null() {
            context.entry("runAsNonRoot").or_insert(Value::Bool(true));
        }
    }

    fn user(&mut self, place: &str, context: &Map<String, Value>) {
        let Some(user) = context.get("runAsUser").and_then(Value::as_i64) else { return };
        let Range { first, last } = self.constraint.users;
        if !self.constraint.users.has(user) {
            self.refuse(format!("{place}.runAsUser: {user}: must be in the ranges: [{first}, {last}]"));
        }
    }

    /// Seccomp and SELinux.
    fn linux(&mut self, place: &str, context: &Map<String, Value>) {
        let profile = context.get("seccompProfile").map(|profile| &profile["type"]);
        if let Some(kind) = profile.and_then(Value::as_str).filter(|kind| *kind != "RuntimeDefault") {
            self.refuse(format!("{place}.seccomp: {} is not an allowed seccomp profile", kind.to_lowercase()));
        }
        let options = context.get("seLinuxOptions").and_then(Value::as_object);
        for (key, value) in options.into_iter().flatten() {
            if key != "level" || value != self.constraint.level {
                self.refuse(format!("{place}.seLinuxOptions.{key}: {value}: it must be the project's"));
            }
        }
    }

    fn capabilities(&mut self, place: &str, context: &mut Map<String, Value>) {
        let capabilities = context.entry("capabilities").or_insert_with(|| json!({}));
        for added in capabilities["add"].as_array().into_iter().flatten() {
            if added != ADDABLE {
                self.refuse(format!("{place}.capabilities.add: {added}: capability may not be added"));
            }
        }
        let dropped = &mut capabilities["drop"];
        if !dropped.is_array() {
            *dropped = json!([]);
        }
        if let Some(dropped) = dropped.as_array_mut().filter(|dropped| !dropped.contains(&json!("ALL"))) {
            dropped.push("ALL".into());
        }
    }
}

/// A field that is an object, made when it is not there.
fn object<'a>(of: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !of[field].is_object() {
        of[field] = json!({});
    }
    of[field].as_object_mut().expect("it was just made one")
}

#[cfg(test)]
#[path = "scc_tests.rs"]
mod tests;
