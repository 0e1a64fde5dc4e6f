//! A request that was not served, and everything its sender needs to know about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The part of the platform that refused; the value of `X-Fission-Component`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The router itself.
    Router,
    /// The executor: no instance could be had.
    Executor,
    /// Code could not be fetched.
    Fetcher,
    /// The function's own instance misbehaved.
    Function,
    /// A time limit ran out.
    Timeout,
}

impl Component {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Component::Router => "router",
            Component::Executor => "executor",
            Component::Fetcher => "fetcher",
            Component::Function => "function",
            Component::Timeout => "timeout",
        }
    }
}

/// The limit that decided, where it is set and how to change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name, as a user would look it up: `spec.concurrency`, `--max-queue`.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// What to do to change it, as a command or a field.
    pub change: String,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// HTTP status of the answer.
    #[serde(skip)]
    pub status: u16,
    /// Who refused.
    pub component: Component,
    /// Stable machine-readable reason, as in Fission: `specialization_failed`, `capacity_exceeded`, ...
    pub reason: &'static str,
    /// What happened, to what, in a sentence.
    pub message: String,
    /// The limit that was hit, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// What to do now, if there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without limit or hint.
    pub fn new(status: u16, component: Component, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, component, reason, message: message.into(), limit: None, hint: None }
    }

    /// Names the limit that decided.
    #[must_use]
    pub fn limit(mut self, name: impl Into<String>, value: impl fmt::Display, change: impl Into<String>) -> Self {
        self.limit = Some(Limit { name: name.into(), value: value.to_string(), change: change.into() });
        self
    }

    /// Says what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
