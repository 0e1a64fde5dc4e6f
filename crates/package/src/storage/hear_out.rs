//! Refusals that arrive: who still sends when the connection is closed sees that it broke, and not the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::{Frame, SizeHint};

/// How long a sender may go on that was refused: longer than that it is not worth the traffic.
const LONGEST: Duration = Duration::from_secs(60);

/// Reads what is left of the body of a request that was not taken, before it is answered.
pub(super) async fn hear_out(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(head, Body::new(lent.clone()))).await;
    if !response.status().is_success() {
        let mut rest = std::mem::take(&mut *lent.body()).into_data_stream();
        let rest = async { while let Some(Ok(_)) = rest.next().await {} };
        let _ = tokio::time::timeout(LONGEST, rest).await;
    }
    response
}

/// A body that can be read on when its reader has gone.
#[derive(Clone)]
struct Lent(Arc<Mutex<Body>>);

impl Lent {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
