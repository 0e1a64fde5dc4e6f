//! Answers with characters of every length.

fn main() {
    fission_function::serve(|_request| "Grüße, 世界 🌍")
}
