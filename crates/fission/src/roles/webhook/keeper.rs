//! Keeps the webhook's own certificate: in a Secret all its processes share, and its authority in the webhook
//! configuration, which is repaired when somebody else changes it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use super::certificate::{Kept, Pair, Step, step};
use super::listener::Served;
use crate::config::cluster::ClusterSettings;

/// Pause between two looks, beside those that changes of the configuration cause.
const PAUSE: Duration = Duration::from_secs(10);
/// Pause after which something that failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// Annotations of the Secret: when a certificate was made, and for which hosts.
const MADE: &str = "fission.io/certificate-made";
const NEXT_MADE: &str = "fission.io/next-certificate-made";
const HOSTS: &str = "fission.io/certificate-hosts";

/// Looks after one certificate.
pub(super) struct Keeper {
    secrets: Api<Secret>,
    secret: String,
    configurations: Api<ValidatingWebhookConfiguration>,
    configuration: String,
    hosts: String,
    served: Served,
    /// What was kept last, to put it back if it is taken away.
    last: Option<Kept>,
    /// Authorities the configuration was last seen to hold, and since when.
    trusted: Option<(String, Instant)>,
    /// The last complaint, so that it is made once.
    complaint: String,
}

impl Keeper {
    /// The keeper of the certificate of `<service>.<namespace>.svc`.
    pub(super) fn new(client: &Client, settings: &ClusterSettings, served: Served) -> Self {
        let (service, namespace) = (&settings.webhook_service, &settings.install_namespace);
        let short = format!("{service}.{namespace}.svc");
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            secret: settings.webhook_secret.clone(),
            configurations: Api::all(client.clone()),
            configuration: settings.webhook_configuration.clone(),
            hosts: format!("{short},{short}.{}", settings.cluster_domain),
            served,
            last: None,
            trusted: None,
            complaint: String::new(),
        }
    }

    /// Keeps it until dropped.
    pub(super) async fn run(mut self) {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.configuration));
        let changes = watcher(self.configurations.clone(), only).default_backoff();
        pin_mut!(changes);
        loop {
            let pause = match self.look(Timestamp::now()).await {
                Ok(()) => {
                    self.complaint.clear();
                    PAUSE
                }
                Err(error) => {
                    self.complain(format!("{error:#}"));
                    AGAIN
                }
            };
            let wake = tokio::time::sleep(pause);
            pin_mut!(wake);
            loop {
                tokio::select! {
                    () = wake.as_mut() => break,
                    change = changes.next() => match change {
                        Some(Ok(watcher::Event::Apply(_) | watcher::Event::InitDone)) => break,
                        // What cannot be watched is looked at all the same.
                        Some(_) => {}
                        None => wake.as_mut().await,
                    },
                }
            }
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint != complaint {
            tracing::warn!(error = complaint, "the webhook's certificate; trying again");
            self.complaint = complaint;
        }
    }

    /// One look at everything, and what is to be done about it.
    async fn look(&mut self, now: Timestamp) -> Result<()> {
        let stored = self.secrets.get_opt(&self.secret).await;
        let mut stored = stored.with_context(|| format!("Secret {} cannot be read", self.secret))?;
        let found = stored.as_ref().and_then(read);
        let trusted = found.as_ref().and_then(|kept| self.trusted_for(kept));
        let kept = match step(found.as_ref(), &self.hosts, trusted, now) {
            Step::Rest => None,
            // Taken away: those who trust it still do.
            Step::Make if step(self.last.as_ref(), &self.hosts, None, now) != Step::Make => self.last.clone(),
            Step::Make => Some(Kept::first(&self.hosts, now)?),
            Step::Prepare => found.as_ref().map(|kept| kept.prepared(now)).transpose()?,
            Step::Switch => found.as_ref().map(Kept::switched),
        };
        if let Some(kept) = &kept {
            stored = self.write(stored, kept).await?;
        }
        // Somebody else may have been faster; what is stored counts.
        let Some(kept) = stored.as_ref().and_then(read) else { anyhow::bail!("Secret {} was changed", self.secret) };
        self.served.set(&kept.current.certificate, &kept.current.key)?;
        let told = self.tell(&kept.bundle()).await;
        self.last = Some(kept);
        told
    }

    fn trusted_for(&self, kept: &Kept) -> Option<Duration> {
        self.trusted.as_ref().filter(|(bundle, _)| *bundle == kept.bundle()).map(|(_, since)| since.elapsed())
    }

    /// Stores it, unless somebody else has stored something meanwhile. Gives what is stored then.
    async fn write(&self, stored: Option<Secret>, kept: &Kept) -> Result<Option<Secret>> {
        let params = PostParams::default();
        let written = match stored {
            Some(mut secret) => {
                fill(&mut secret, kept);
                self.secrets.replace(&self.secret, &params, &secret).await
            }
            None => {
                let mut secret = Secret::default();
                secret.metadata.name = Some(self.secret.clone());
                fill(&mut secret, kept);
                self.secrets.create(&params, &secret).await
            }
        };
        match written {
            Ok(secret) => {
                tracing::info!(secret = self.secret, hosts = kept.hosts, "the webhook's certificate was renewed");
                Ok(Some(secret))
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(self.secrets.get_opt(&self.secret).await?),
            Err(error) => Err(error).with_context(|| format!("Secret {} cannot be written", self.secret)),
        }
    }

    /// Writes the authorities into every webhook of the configuration that has others.
    async fn tell(&mut self, bundle: &str) -> Result<()> {
        let name = &self.configuration;
        let found = self.configurations.get_opt(name).await;
        let found = found.with_context(|| format!("ValidatingWebhookConfiguration {name} cannot be read"));
        let Some(found) = found.inspect_err(|_| self.trusted = None)? else {
            self.trusted = None;
            anyhow::bail!("there is no ValidatingWebhookConfiguration {name}, so nobody asks this webhook");
        };
        let differ = differing(&found, bundle);
        if differ.is_empty() {
            if self.trusted.as_ref().is_none_or(|(known, _)| known != bundle) {
                self.trusted = Some((bundle.to_owned(), Instant::now()));
            }
            return Ok(());
        }
        self.trusted = None;
        let authorities = ByteString(bundle.as_bytes().to_vec());
        let webhooks =
            differ.iter().map(|webhook| json!({ "name": webhook, "clientConfig": { "caBundle": authorities } }));
        let patch = json!({ "webhooks": webhooks.collect::<Vec<_>>() });
        let patched = self.configurations.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        patched.with_context(|| {
            format!("ValidatingWebhookConfiguration {name} cannot be given this webhook's authority")
        })?;
        self.trusted = Some((bundle.to_owned(), Instant::now()));
        tracing::info!(
            configuration = name,
            webhooks = differ.join(", "),
            "the configuration has this webhook's authority"
        );
        Ok(())
    }
}

/// The webhooks of a configuration that trust others than `bundle`.
fn differing(configuration: &ValidatingWebhookConfiguration, bundle: &str) -> Vec<String> {
    let webhooks = configuration.webhooks.iter().flatten();
    let differ = webhooks.filter(|webhook| {
        webhook.client_config.ca_bundle.as_ref().is_none_or(|ByteString(bytes)| bytes != bundle.as_bytes())
    });
    differ.map(|webhook| webhook.name.clone()).collect()
}

/// What a Secret holds; `None` when it is not complete.
fn read(secret: &Secret) -> Option<Kept> {
    let text = |key: &str| String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok();
    let note = |key: &str| secret.metadata.annotations.as_ref()?.get(key);
    let pair = |prefix: &str, made: &str| {
        Some(Pair {
            authority: text(&format!("{prefix}-ca.crt"))?,
            certificate: text(&format!("{prefix}.crt"))?,
            key: text(&format!("{prefix}.key"))?,
            made: note(made)?.parse().ok()?,
        })
    };
    Some(Kept {
        current: pair("tls", MADE)?,
        next: pair("next", NEXT_MADE),
        old_authority: text("old-ca.crt"),
        hosts: note(HOSTS)?.clone(),
    })
}

/// Writes it into a Secret.
fn fill(secret: &mut Secret, kept: &Kept) {
    let mut data = BTreeMap::new();
    let mut put = |key: &str, text: &str| data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
    let notes = secret.metadata.annotations.get_or_insert_default();
    notes.remove(NEXT_MADE);
    for (prefix, made, pair) in [("tls", MADE, Some(&kept.current)), ("next", NEXT_MADE, kept.next.as_ref())] {
        let Some(pair) = pair else { continue };
        put(&format!("{prefix}-ca.crt"), &pair.authority);
        put(&format!("{prefix}.crt"), &pair.certificate);
        put(&format!("{prefix}.key"), &pair.key);
        notes.insert(made.to_owned(), pair.made.to_string());
    }
    if let Some(old) = &kept.old_authority {
        put("old-ca.crt", old);
    }
    // For people and tools: what is to be trusted.
    put("ca.crt", &kept.bundle());
    notes.insert(HOSTS.to_owned(), kept.hosts.clone());
    secret.data = Some(data);
    secret.string_data = None;
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
