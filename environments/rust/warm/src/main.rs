//! The function that is compiled when the environment is prepared.

fn main() {
    fission_function::serve(|_request| "")
}
