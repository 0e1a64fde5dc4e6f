//! A command that shows every behaviour the tests of `crates/wasm` are about: the path says which.

use std::io::{Read, Write};

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    match variable("PATH_INFO").as_str() {
        "/echo" => {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).expect("the body");
            print!("Content-Type: text/plain\nX-Answer: yes\n\n");
            println!("{} {} {}", variable("REQUEST_METHOD"), variable("QUERY_STRING"), variable("HTTP_X_TEST"));
            std::io::stdout().write_all(&body).expect("a reader");
        }
        "/missing" => print!("Status: 404 Not Found\n\nnothing here"),
        "/variable" => print!("{}", variable(&variable("QUERY_STRING"))),
        "/file" => print!("{:?}", std::fs::read_to_string(variable("QUERY_STRING")).map_err(|error| error.kind())),
        "/exit" => std::process::exit(3),
        "/fails" => {
            print!("half of it");
            std::io::stdout().flush().expect("a reader");
            std::process::exit(1);
        }
        "/done" => {
            print!("done");
            std::io::stdout().flush().expect("a reader");
            std::process::exit(0);
        }
        "/panic" => panic!("the reason"),
        "/loop" => loop {
            std::hint::black_box(());
        },
        "/large" => {
            for _ in 0..64 {
                std::io::stdout().write_all(&[b'x'; 16 * 1024]).expect("a reader");
            }
        }
        "/head" => print!("Content-Type: text/plain\nno colon\n\n"),
        _ => {
            eprintln!("it was called");
            print!("Hello, world!");
        }
    }
}
