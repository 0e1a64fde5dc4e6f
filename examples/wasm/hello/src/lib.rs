//! A function as a WebAssembly component of the `wasi:http/proxy` world.
//!
//!     cargo build --release --target wasm32-wasip2
//!     fission function create --name hello --env wasm --code target/wasm32-wasip2/release/hello.wasm

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_request: IncomingRequest, answer: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("a new response has its body");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("a new body has its stream");
        stream.blocking_write_and_flush(b"Hello, world!\n").expect("the client is there");
        drop(stream);
        OutgoingBody::finish(body, None).expect("all of it was written");
    }
}
