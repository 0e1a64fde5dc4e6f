//! `/healthz`, `/readyz` and `/metrics` of a role.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use http::StatusCode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::metrics_page;

/// Whether the role can serve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    ready: Arc<AtomicBool>,
}

impl Health {
    /// It can from now on.
    pub(crate) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// It cannot any more: it is ending.
    pub(crate) fn ending(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// `/readyz` and `/healthz`, for a role that has a port of its own for others.
    pub(crate) fn http(&self) -> Router {
        let health = self.clone();
        let ready = move || {
            let is_ready = health.ready.load(Ordering::Acquire);
            std::future::ready(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
        };
        Router::new().route("/healthz", get(|| async { StatusCode::OK })).route("/readyz", get(ready))
    }

    /// Listens, and gives what serves.
    pub(crate) async fn serve(
        self,
        address: SocketAddr,
        registry: Registry,
    ) -> Result<impl Future<Output = ()> + Send + use<>> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("METRICS_ADDR: cannot use {address}"))?;
        let router = self.http().merge(metrics_page::http(registry));
        Ok(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the health port is gone");
            }
        })
    }
}
