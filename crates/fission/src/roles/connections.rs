//! Connections of a listener, one task each, with limits and an end.

use std::time::Duration;

use anyhow::Result;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest a client may take for its TLS handshake or a request's head, as on every Fission listener.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until told to end, then lets requests in flight end, at most `drain` long. `open` is what happens to a
/// connection before its first request, such as a TLS handshake.
pub(crate) async fn serve<Open, Opening, Stream>(
    listener: TcpListener,
    open: Open,
    router: Router,
    shutdown: CancellationToken,
    drain: Duration,
) where
    Open: Fn(TcpStream) -> Opening,
    Opening: Future<Output = Result<Stream>> + Send + 'static,
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        let _ = stream.set_nodelay(true);
        let (opening, router, shutdown) = (open(stream), router.clone(), shutdown.clone());
        connections.spawn(async move {
            let ended = match tokio::time::timeout(HEAD_TIMEOUT, opening).await {
                Ok(Ok(stream)) => requests(stream, router, shutdown).await,
                Ok(Err(error)) => Err(error),
                Err(late) => Err(late.into()),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    connections.close();
    let _ = tokio::time::timeout(drain, connections.wait()).await;
}

async fn requests<Stream>(stream: Stream, router: Router, shutdown: CancellationToken) -> Result<()>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(|error| anyhow::anyhow!(error)),
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(|error| anyhow::anyhow!(error))
}
