//! Waits, in a thread of its own.

fn main() {
    fission_function::serve(|_request| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        "slow"
    })
}
