//! Serverless functions in one binary.
fn main() {}
