//! Prints lines on both outputs.

fn main() {
    fission_function::serve(|_request| {
        println!("one");
        println!("two");
        eprintln!("three");
    })
}
