//! The other function.

fn main() {
    fission_function::serve(|_request| format!("the other, with {}", project::WORDS))
}
