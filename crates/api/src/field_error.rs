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

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(self.problem.words())?;
        if matches!(self.problem, Problem::Invalid | Problem::NotSupported | Problem::Immutable) {
            write!(f, ": {:?}", self.value)?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldError {}
