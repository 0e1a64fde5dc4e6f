//! No program.
