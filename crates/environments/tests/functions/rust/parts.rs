//! Leaves behind what prints a line in two parts.

use std::io::Write;
use std::time::Duration;

fn main() {
    fission_function::serve(|_request| {
        std::thread::spawn(|| {
            for part in ["one ", "two\n"] {
                std::thread::sleep(Duration::from_millis(20));
                print!("{part}");
                std::io::stdout().flush().unwrap();
            }
        });
    })
}
