//! Ends the whole program, once the file named by `WAIT_FOR` is there.

use std::time::Duration;

fn main() {
    fission_function::serve(|_request| -> &str {
        println!("last words{}", " and more".repeat(1000));
        while std::env::var("WAIT_FOR").is_ok_and(|path| !std::path::Path::new(&path).exists()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::process::exit(3)
    })
}
