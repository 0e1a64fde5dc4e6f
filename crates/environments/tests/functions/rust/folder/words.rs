//! A module of the package.

pub(crate) const MAIN: &str = "main file";
