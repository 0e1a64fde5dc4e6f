//! The namespaces a component looks at. They may change while it runs: a tenant comes without a restart.

use std::collections::BTreeSet;

/// Where components look for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Everywhere.
    All,
    /// In these.
    These(BTreeSet<String>),
}

impl Namespaces {
    /// Exactly these.
    pub fn these<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::These(names.into_iter().map(Into::into).collect())
    }

    /// What is watched one by one: each namespace, or the cluster as a whole as `None`.
    pub(crate) fn scopes(&self) -> BTreeSet<Option<String>> {
        match self {
            Self::All => BTreeSet::from([None]),
            Self::These(names) => names.iter().cloned().map(Some).collect(),
        }
    }

    /// The names, when they are known.
    pub fn names(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::All => None,
            Self::These(names) => Some(names),
        }
    }
}
