//! Gives back what it is sent, in a protocol of its own.

use fission_function::http::{Response, StatusCode, header};
use fission_function::{Body, Request, upgraded};

async fn serve(mut request: Request) -> Response<Body> {
    let connection = upgraded(&mut request);
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(connection.await.unwrap());
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    answer.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "echo").body(Body::default()).unwrap()
}

fn main() {
    fission_function::serve(serve)
}
