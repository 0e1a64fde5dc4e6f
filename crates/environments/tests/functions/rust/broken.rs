//! Does not parse.
fn main() { fission_function::serve(|_request| "" }
