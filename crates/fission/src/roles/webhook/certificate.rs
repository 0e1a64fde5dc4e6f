//! The certificate the webhook makes for itself, and when it makes the next one.
//!
//! Each certificate has an authority of its own whose key is forgotten at once. A new certificate is made while the old
//! one is good, its authority is told to the cluster first, and it is served only when that has been known for a while;
//! the old authority stays trusted until the next change. So whichever certificate a process of the webhook shows, and
//! whichever list of authorities a process of the API server has, they fit.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// How long a certificate is good.
pub(super) const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Age at which the next one is made.
const RENEW: Duration = Duration::from_secs(LIFE.as_secs() / 3 * 2);
/// How long a new authority must have been in the webhook configuration before its certificate is served: processes of
/// the API server learn of it one after another.
pub(super) const SETTLE: Duration = Duration::from_secs(60);
/// How far the clock of an API server may be behind ours.
const SKEW: Duration = Duration::from_secs(3600);

/// A certificate with its key and its authority, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) authority: String,
    pub(super) certificate: String,
    pub(super) key: String,
    /// When it was made.
    pub(super) made: Timestamp,
}

/// What all processes of the webhook share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// What is served.
    pub(super) current: Pair,
    /// What will be served next.
    pub(super) next: Option<Pair>,
    /// Authority of the certificate before this one.
    pub(super) old_authority: Option<String>,
    /// The names the certificates are for.
    pub(super) hosts: String,
}

/// What to do with a kept certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Rest,
    /// Make one and serve it at once: there is none that could be served.
    Make,
    /// Make the next one, and tell its authority.
    Prepare,
    /// Serve the next one.
    Switch,
}

/// Decides. `trusted`: how long the webhook configuration has held all authorities of `kept`, as far as is known.
pub(super) fn step(kept: Option<&Kept>, hosts: &str, trusted: Option<Duration>, now: Timestamp) -> Step {
    let Some(kept) = kept.filter(|kept| kept.hosts == hosts) else { return Step::Make };
    let age = |pair: &Pair| Duration::try_from(now.duration_since(pair.made)).unwrap_or_default();
    let ended = |pair: &Pair| age(pair) >= LIFE;
    match &kept.next {
        Some(next) if ended(next) => Step::Make,
        // Nobody may be there to tell the cluster; an ended certificate helps nobody.
        Some(_) if ended(&kept.current) => Step::Switch,
        Some(_) if trusted.is_some_and(|trusted| trusted >= SETTLE) => Step::Switch,
        Some(_) => Step::Rest,
        None if ended(&kept.current) => Step::Make,
        None if age(&kept.current) >= RENEW => Step::Prepare,
        None => Step::Rest,
    }
}

impl Kept {
    /// A first certificate.
    pub(super) fn first(hosts: &str, now: Timestamp) -> Result<Self> {
        Ok(Self { current: make(hosts, now)?, next: None, old_authority: None, hosts: hosts.to_owned() })
    }

    /// With the next certificate made.
    pub(super) fn prepared(&self, now: Timestamp) -> Result<Self> {
        Ok(Self { next: Some(make(&self.hosts, now)?), old_authority: None, ..self.clone() })
    }

    /// With the next certificate in service.
    pub(super) fn switched(&self) -> Self {
        let Some(next) = &self.next else { return self.clone() };
        let old_authority = Some(self.current.authority.clone());
        Self { current: next.clone(), next: None, old_authority, hosts: self.hosts.clone() }
    }

    /// Every authority clients are to trust, the newest first.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.iter().map(|next| &next.authority);
        next.chain([&self.current.authority]).chain(&self.old_authority).map(String::as_str).collect()
    }
}

/// Makes a certificate for host names with commas between them.
pub(super) fn make(hosts: &str, now: Timestamp) -> Result<Pair> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default());
    let (begins, ends) = (at(now.checked_sub(SKEW)?), at(now.checked_add(LIFE)?));

    let authority_key = KeyPair::generate().context("cannot make a key")?;
    let mut authority = CertificateParams::new(Vec::new()).context("cannot describe the authority")?;
    // Two authorities of one name would be tried one for the other.
    authority.distinguished_name.push(DnType::CommonName, format!("fission webhook {}", now.as_second()));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    (authority.not_before, authority.not_after) = (begins, ends);
    let signed = authority.self_signed(&authority_key).context("cannot sign the authority")?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().context("cannot make a key")?;
    let names: Vec<String> = hosts.split(',').map(str::to_owned).collect();
    let mut server = CertificateParams::new(names).context("cannot describe the certificate")?;
    server.distinguished_name.push(DnType::CommonName, "fission webhook");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (server.not_before, server.not_after) = (begins, ends);
    let certificate = server.signed_by(&key, &issuer).context("cannot sign the certificate")?;
    Ok(Pair { authority: signed.pem(), certificate: certificate.pem(), key: key.serialize_pem(), made: now })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "webhook-service.fission.svc";

    fn kept() -> Kept {
        Kept::first(HOSTS, Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000)).unwrap()
    }

    fn asked(kept: &Kept, after: Duration, trusted: Option<Duration>) -> Step {
        step(Some(kept), HOSTS, trusted, kept.current.made + after)
    }

    #[test]
    fn a_certificate_is_made_where_none_can_be_served() {
        let kept = kept();
        assert_eq!(step(None, HOSTS, None, kept.current.made), Step::Make);
        assert_eq!(step(Some(&kept), "another.fission.svc", None, kept.current.made), Step::Make);
        assert_eq!(asked(&kept, LIFE, None), Step::Make);
    }

    #[test]
    fn the_next_one_is_made_at_two_thirds_and_served_when_its_authority_is_known() {
        let first = kept();
        assert_eq!(asked(&first, Duration::ZERO, None), Step::Rest);
        assert_eq!(asked(&first, RENEW - SETTLE, Some(RENEW)), Step::Rest);
        assert_eq!(asked(&first, RENEW, Some(RENEW)), Step::Prepare);
        let prepared = first.prepared(first.current.made + RENEW).unwrap();
        assert_eq!(asked(&prepared, RENEW, None), Step::Rest);
        assert_eq!(asked(&prepared, RENEW, Some(SETTLE / 2)), Step::Rest);
        assert_eq!(asked(&prepared, RENEW, Some(SETTLE)), Step::Switch);
        assert_eq!(asked(&prepared, LIFE, None), Step::Switch);
        assert_eq!(asked(&prepared.switched(), SETTLE, Some(SETTLE)), Step::Rest);
    }

    #[test]
    fn the_old_and_the_new_certificate_are_trusted_all_through_a_change() {
        let first = kept();
        let prepared = first.prepared(first.current.made + RENEW).unwrap();
        let switched = prepared.switched();
        let next = prepared.next.clone().unwrap();
        for kept in [&prepared, &switched] {
            for pair in [&first.current, &next] {
                assert!(kept.bundle().contains(&pair.authority));
            }
        }
        assert_eq!(switched.current, next);
        let again = switched.prepared(next.made + RENEW).unwrap();
        assert!(!again.bundle().contains(&first.current.authority) && again.bundle().contains(&next.authority));
    }

    #[test]
    fn a_clock_that_was_set_back_changes_nothing() {
        let kept = kept();
        let before = kept.current.made - Duration::from_secs(24 * 3600);
        assert_eq!(step(Some(&kept), HOSTS, None, before), Step::Rest);
    }
}
