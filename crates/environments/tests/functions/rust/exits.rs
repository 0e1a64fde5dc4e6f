//! Ends the whole program.

fn main() {
    fission_function::serve(|_request| -> &str {
        println!("last words");
        std::process::exit(3)
    })
}
