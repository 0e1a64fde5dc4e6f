//! Sends two chunks, one after the other.

use fission_function::Body;

fn main() {
    fission_function::serve(|_request| async {
        let (sender, body) = Body::channel();
        tokio::spawn(async move {
            let _ = sender.send("first").await;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            let _ = sender.send("second").await;
        });
        body
    })
}
