//! Answers with every byte.

fn main() {
    fission_function::serve(|_request| (0..=255).collect::<Vec<u8>>())
}
