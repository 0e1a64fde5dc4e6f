//! The API server alone on a free loopback port, without TLS or tokens: for trying clients against it.
//!
//! `cargo run -p fission-apiserver --example serve [-- FOLDER [PORT]]` prints the address; without a folder nothing is kept.

#![allow(clippy::print_stdout, reason = "an example tells its user where it listens")]

use std::convert::Infallible;
use std::io::Write;

use fission_apiserver::{ApiServer, Options, Storage};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let storage = arguments.next().map_or(Storage::Memory, |folder| Storage::Disk(folder.into()));
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let server = ApiServer::open(Options::new(storage, "0.0.0"))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let server = server.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.handle(request).await) }
            });
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
    server.shutdown().await;
    Ok(())
}
