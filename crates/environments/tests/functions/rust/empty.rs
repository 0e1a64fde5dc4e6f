//! Answers with nothing.

fn main() {
    fission_function::serve(|_request| ())
}
