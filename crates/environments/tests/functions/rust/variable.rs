//! Variables as they were when the code was loaded, and as they are now.

fn read(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn main() {
    let then = read("GREETING");
    fission_function::serve(move |_request| format!("{then} {} {}", read("GREETING"), read("FROM_START")))
}
