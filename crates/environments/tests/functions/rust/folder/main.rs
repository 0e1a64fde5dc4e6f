//! The function of a package where no entry point is named.

mod words;

fn main() {
    fission_function::serve(|_request| words::MAIN)
}
