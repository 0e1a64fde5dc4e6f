//! One thing wrong with one field of an object, worded as Kubernetes words it.

use std::fmt;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The field must be given.
    Required,
    /// The value is of the wrong type or shape.
    Invalid,
    /// The value is not one of those allowed.
    NotSupported,
    /// The value is too long or too large.
    TooLong,
    /// The value is well-formed but not allowed here.
    Forbidden,
    /// The value may not change.
    Immutable,
}

/// One thing wrong with one field. `Display` gives `spec.x: Invalid value: "v": detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field from the object's root, such as `spec.methods[0]`; empty for the object itself.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
    /// The value found, as JSON without the quotes of a string; empty when there is none.
    pub value: String,
    /// What the value must be, for people.
    pub detail: String,
}

impl Problem {
    /// The reason Kubernetes gives such a cause in a `Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid | Self::Immutable => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::Forbidden => "FieldValueForbidden",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::Immutable => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::Forbidden => "Forbidden",
        }
    }
}

impl FieldError {
    /// What is wrong, without the path.
    pub fn words(&self) -> String {
        let mut words = self.problem.words().to_owned();
        if matches!(self.problem, Problem::Invalid | Problem::NotSupported | Problem::Immutable) {
            words.push_str(&format!(": {:?}", self.value));
        }
        if !self.detail.is_empty() {
            words.push_str(": ");
            words.push_str(&self.detail);
        }
        words
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.words())
    }
}

/// Why an object is refused, as Kubernetes words it. `kind` is the kind with its group, `problems` are paths, which may
/// be empty, and what is wrong there.
pub fn refusal<'a>(kind: &str, name: &str, problems: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let words = problems.into_iter().map(|(path, words)| match path {
        "" => words.to_owned(),
        path => format!("{path}: {words}"),
    });
    let words: Vec<String> = words.collect();
    let list = match words.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    format!("{kind} {name:?} is invalid: {list}")
}

impl std::error::Error for FieldError {}

/// Collects what is wrong with an object.
#[derive(Debug, Default)]
pub(crate) struct Found {
    errors: Vec<FieldError>,
}

impl Found {
    pub(crate) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    pub(crate) fn invalid(&mut self, path: impl Into<String>, value: impl ToString, detail: impl Into<String>) {
        self.push(Problem::Invalid, path.into(), value.to_string(), detail.into());
    }

    pub(crate) fn required(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.push(Problem::Required, path.into(), String::new(), detail.into());
    }

    pub(crate) fn too_long(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.push(Problem::TooLong, path.into(), String::new(), detail.into());
    }

    pub(crate) fn forbidden(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.push(Problem::Forbidden, path.into(), String::new(), detail.into());
    }

    pub(crate) fn immutable(&mut self, path: impl Into<String>, value: impl ToString) {
        self.push(Problem::Immutable, path.into(), value.to_string(), "may not change; create a new object".into());
    }

    pub(crate) fn not_supported(&mut self, path: impl Into<String>, value: impl ToString, allowed: &[impl AsRef<str>]) {
        let value = value.to_string();
        let allowed: Vec<&str> = allowed.iter().map(AsRef::as_ref).collect();
        let detail = match allowed.iter().find(|one| one.eq_ignore_ascii_case(&value)) {
            Some(meant) if *meant == meant.to_ascii_uppercase() => format!("use upper case: {meant:?}"),
            Some(meant) => format!("use lower case: {meant:?}"),
            None => format!(
                "supported values: {}",
                allowed.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ")
            ),
        };
        self.push(Problem::NotSupported, path.into(), value, detail);
    }

    pub(crate) fn wrong_type(&mut self, path: impl Into<String>, value: &serde_json::Value, expected: &str) {
        self.invalid(path, crate::structural::plain(value), format!("must be {expected}"));
    }

    fn push(&mut self, problem: Problem, path: String, value: String, detail: String) {
        self.errors.push(FieldError { path, problem, value, detail });
    }
}
