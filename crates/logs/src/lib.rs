//! Function output: capture, store, query, follow.
