//! A client that trusts what a configuration would be told.

use std::time::Duration;

use jiff::Timestamp;

use super::super::certificate::{Kept, LIFE};
use super::super::review;
use super::*;

const HOST: &str = "webhook-service.fission.svc";

struct Webhook {
    address: std::net::SocketAddr,
    served: Served,
    end: CancellationToken,
}

async fn webhook() -> Webhook {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (served, end) = (Served::nothing(), CancellationToken::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, served.clone(), review::http(), end.clone()));
    Webhook { address, served, end }
}

impl Webhook {
    /// Asks as the API server does: by the Service's name, trusting `bundle` only.
    async fn ask(&self, bundle: &str) -> reqwest::Result<u16> {
        let trusted = reqwest::Certificate::from_pem_bundle(bundle.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only(trusted).resolve(HOST, self.address).no_proxy();
        let url = format!("https://{HOST}:{}/healthz", self.address.port());
        Ok(client.build().unwrap().get(url).send().await?.status().as_u16())
    }
}

#[tokio::test]
async fn every_certificate_of_a_change_is_trusted_with_every_bundle_of_it() {
    let webhook = webhook().await;
    let now = Timestamp::now();
    let first = Kept::first(HOST, now).unwrap();
    let prepared = first.prepared(now + Duration::from_secs(1)).unwrap();
    let switched = prepared.switched();
    for (serving, bundles) in
        [(&first, [&first, &prepared, &switched].as_slice()), (&switched, &[&prepared, &switched])]
    {
        webhook.served.set(&serving.current.certificate, &serving.current.key).unwrap();
        for bundle in bundles {
            assert_eq!(webhook.ask(&bundle.bundle()).await.unwrap(), 200);
        }
    }
    let stranger = Kept::first(HOST, now).unwrap();
    assert!(webhook.ask(&stranger.bundle()).await.is_err());
    webhook.end.cancel();
}

#[tokio::test]
async fn an_ended_certificate_is_trusted_by_nobody() {
    let webhook = webhook().await;
    let ended = Kept::first(HOST, Timestamp::now() - LIFE - Duration::from_secs(60)).unwrap();
    webhook.served.set(&ended.current.certificate, &ended.current.key).unwrap();
    assert!(webhook.ask(&ended.bundle()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn files_are_served_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::nothing();
    let write = |kept: &Kept| {
        std::fs::write(folder.path().join("tls.key"), &kept.current.key).unwrap();
        std::fs::write(folder.path().join("tls.crt"), &kept.current.certificate).unwrap();
    };
    let following = tokio::spawn(served.clone().follow_files(folder.path().to_owned()));
    let (first, second) = (Kept::first(HOST, Timestamp::now()).unwrap(), Kept::first(HOST, Timestamp::now()).unwrap());
    let mut changes = served.now.subscribe();
    for kept in [first, second] {
        write(&kept);
        changes.changed().await.unwrap();
        let pem = changes.borrow_and_update().as_ref().unwrap().pem.clone();
        assert!(pem.contains(&kept.current.certificate));
    }
    following.abort();
}
