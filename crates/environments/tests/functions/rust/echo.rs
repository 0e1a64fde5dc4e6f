//! Answers with what the request was.

use fission_function::http::Response;
use fission_function::{Body, Error, Request};

async fn echo(request: Request) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let seen = serde_json::json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query().unwrap_or_default(),
        "header": head.headers.get("x-test").map_or("", |value| value.to_str().unwrap_or_default()),
        "body": String::from_utf8(body.collect().await?.into())?,
    });
    Ok(Response::builder().status(201).header("x-answer", "yes").body(seen.to_string().into())?)
}

fn main() {
    fission_function::serve(echo)
}
