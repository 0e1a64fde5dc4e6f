//! A function of the package.

fn main() {
    fission_function::serve(|_request| "from a folder")
}
