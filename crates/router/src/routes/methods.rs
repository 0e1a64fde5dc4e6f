//! A set of HTTP methods.

use http::Method;

/// The methods triggers may name, in the order `Allow` lists them.
pub(crate) const NAMES: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

/// A set of the methods in [`NAMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Methods(u16);

impl Methods {
    /// The known ones of `names`.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(position).fold(Self::default(), |set, position| Self(set.0 | 1 << position))
    }

    pub(crate) fn with(self, method: &Method) -> Self {
        Self(self.0 | Self::of([method.as_str()]).0)
    }

    pub(crate) fn contains(self, method: &Method) -> bool {
        index(method).is_some_and(|position| self.0 & 1 << position != 0)
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As the value of an `Allow` header.
    pub(crate) fn listed(self) -> String {
        let names = NAMES.iter().enumerate().filter(|(position, _)| self.0 & 1 << position != 0);
        names.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// Position in [`NAMES`] of a request's method.
pub(crate) fn index(method: &Method) -> Option<usize> {
    match *method {
        Method::GET => Some(0),
        Method::HEAD => Some(1),
        Method::POST => Some(2),
        _ => position(method.as_str()),
    }
}

fn position(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}
