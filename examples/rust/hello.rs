//! The smallest function.

fn main() {
    fission_function::serve(|_request| "Hello, world!\n")
}
