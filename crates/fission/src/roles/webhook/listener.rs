//! HTTPS with a certificate that may change while connections come in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::super::connections;

/// Longest the end waits for requests in flight.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause between two looks at certificate files.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate in service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Served {
    now: watch::Sender<Option<Arc<Certificate>>>,
}

struct Certificate {
    pem: String,
    config: Arc<ServerConfig>,
}

impl Served {
    /// None yet.
    pub(super) fn nothing() -> Self {
        Self { now: watch::Sender::new(None) }
    }

    /// Serves this one to new connections, if it is another.
    pub(super) fn set(&self, certificate: &str, key: &str) -> Result<()> {
        let pem = format!("{certificate}\n{key}");
        if self.now.borrow().as_ref().is_some_and(|now| now.pem == pem) {
            return Ok(());
        }
        let config = Arc::new(tls(certificate, key)?);
        self.now.send_replace(Some(Arc::new(Certificate { pem, config })));
        Ok(())
    }

    /// Waits until there is one.
    pub(super) async fn is_there(&self) {
        // The sender lives as long as `self`.
        let _ = self.now.subscribe().wait_for(Option::is_some).await;
    }

    /// Serves `tls.crt` and `tls.key` of a folder, again whenever they change, until dropped.
    pub(super) async fn follow_files(self, folder: PathBuf) {
        let mut complaint = String::new();
        loop {
            let read = |name: &str| {
                let path = folder.join(name);
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
            };
            let served = read("tls.crt").and_then(|certificate| self.set(&certificate, &read("tls.key")?));
            match served {
                Ok(()) => complaint.clear(),
                Err(error) => {
                    let error = format!("{error:#}");
                    if complaint != error {
                        tracing::warn!(error, "the webhook's certificate; what was served before is still served");
                        complaint = error;
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn tls(certificate: &str, key: &str) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.context("the certificate is no PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("the key is no PEM")?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.context("certificate and key do not fit")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until told to end, then lets requests in flight end.
pub(super) async fn serve(listener: TcpListener, served: Served, router: Router, shutdown: CancellationToken) {
    let open = move |stream: TcpStream| {
        let certificate = served.now.borrow().clone();
        async move {
            let certificate = certificate.context("there is no certificate yet")?;
            Ok(TlsAcceptor::from(certificate.config.clone()).accept(stream).await?)
        }
    };
    connections::serve(listener, open, router, shutdown, DRAIN).await;
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
