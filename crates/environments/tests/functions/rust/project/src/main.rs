//! The function where no entry point is named.

fn main() {
    fission_function::serve(|_request| "the handler")
}
