//! Panics, now or later, or breaks off what it has begun.

use fission_function::{Body, IntoResponse, Request, Response};

async fn serve(request: Request) -> Response {
    match request.uri().path() {
        "/now" => panic!("panicked for /now"),
        "/later" => {
            tokio::task::yield_now().await;
            panic!("panicked for /later")
        }
        "/halfway" => {
            let (sender, body) = Body::channel();
            tokio::spawn(async move {
                let _ = sender.send("a part").await;
                sender.fail("halfway").await;
            });
            body.into_response()
        }
        _ => "still there".into_response(),
    }
}

fn main() {
    fission_function::serve(serve)
}
