//! Fails with a reason.

fn main() {
    fission_function::serve(|_request| Err::<(), _>("the reason"))
}
