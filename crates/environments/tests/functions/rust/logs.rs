//! Says in the log and to its client which request this is, when there are two of them.

use std::sync::Barrier;

static BOTH: Barrier = Barrier::new(2);

fn main() {
    fission_function::serve(|_request| {
        BOTH.wait();
        let id = fission_function::request_id().unwrap_or_default();
        fission_function::log!("this is {id}");
        BOTH.wait();
        id
    })
}
