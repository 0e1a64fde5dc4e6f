//! Answers with the length of the body.

use fission_function::{Error, Request};

fn main() {
    fission_function::serve(|request: Request| Ok::<_, Error>(request.into_body().bytes()?.len().to_string()))
}
