//! Our own tools: tidy, codegen.

fn main() {}
