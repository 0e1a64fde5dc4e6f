//! The pool manager: pools, specialization, capacity, reaping; the Backend trait.

pub mod backend;
