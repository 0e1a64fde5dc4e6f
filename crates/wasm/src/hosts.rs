//! Whom a function may call.

use std::net::IpAddr;

use fission_api::{canonical_address, is_metadata_address};

/// Most entries of one function's list.
const MAX_HOSTS: usize = 100;

/// The hosts a function's owner named; nobody else may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllowedHosts(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Lower case; without `*.` where it stands for everything below.
    name: String,
    below: bool,
    /// The scheme's own where none was named.
    port: Option<u16>,
}

/// What addresses a host that may be called may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public ones alone: it was found by a wildcard.
    Public,
    /// Private ones too: it was named. Never the addresses of metadata services.
    Named,
    /// Exactly this address: it was named itself.
    Literal,
}

impl AllowedHosts {
    /// Reads `api.example.com, *.example.org, 10.0.0.7:8080`. An error says which entry is wrong and why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split([',', ' ', '\n', '\t']).filter(|entry| !entry.is_empty());
        let entries = entries.map(Entry::parse).collect::<Result<Vec<_>, _>>()?;
        if entries.len() > MAX_HOSTS {
            return Err(format!("names {} hosts; at most {MAX_HOSTS} can be named", entries.len()));
        }
        Ok(Self(entries))
    }

    /// Whether a host may be called, and what addresses it may have.
    pub(crate) fn reach(&self, host: &str, port: Option<u16>, scheme_port: u16) -> Option<Reach> {
        let host = plain(host);
        let literal = host.parse::<IpAddr>().is_ok();
        let wanted = port.unwrap_or(scheme_port);
        let matching = self.0.iter().filter(|entry| {
            let port_fits = entry.port.unwrap_or(scheme_port) == wanted;
            let below = || host.strip_suffix(&entry.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
            port_fits && if entry.below { !literal && below() } else { host == entry.name }
        });
        matching
            .map(|entry| match (literal, entry.below) {
                (true, _) => Reach::Literal,
                (false, true) => Reach::Public,
                (false, false) => Reach::Named,
            })
            .max_by_key(|reach| *reach != Reach::Public)
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} {why}; write host, host:port or *.domain"));
        if text.contains("://") || text.contains('/') {
            return wrong("is a URL");
        }
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without brackets has colons and no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => return wrong("has a port that is no number"),
            },
            _ => (text, None),
        };
        let (name, below) = match host.strip_prefix("*.") {
            Some(name) => (plain(name), true),
            None => (plain(host), false),
        };
        if name.contains('*') || name.is_empty() {
            return wrong("has a * that is not the first label of a domain");
        }
        if below && (name.parse::<IpAddr>().is_ok() || !name.contains('.')) {
            return wrong("stands for too much");
        }
        Ok(Self { name, below, port })
    }
}

/// A host as it is compared: lower case, without brackets and the final dot.
fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a host found under its name may be called at an address.
pub(crate) fn may_be_at(reach: Reach, address: IpAddr) -> bool {
    match reach {
        Reach::Literal => true,
        Reach::Named => !is_metadata_address(address),
        Reach::Public => !is_metadata_address(address) && !is_private(address),
    }
}

/// Addresses that are not on the internet.
fn is_private(address: IpAddr) -> bool {
    match canonical_address(address) {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && (18..20).contains(&second))
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unspecified() || address.is_multicast() || address.is_unique_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> AllowedHosts {
        AllowedHosts::parse(text).unwrap()
    }

    #[test]
    fn only_named_hosts_and_what_is_below_named_domains_may_be_called() {
        let hosts = hosts("api.example.com, *.example.org,10.0.0.7:8080 [::1]:81");
        let reach = |host: &str, port| hosts.reach(host, port, 443);
        assert_eq!(reach("api.example.com", None), Some(Reach::Named));
        assert_eq!(reach("API.Example.COM.", Some(443)), Some(Reach::Named));
        assert_eq!(reach("api.example.com", Some(8443)), None, "a name without a port is on the scheme's own");
        assert_eq!(reach("example.com", None), None);
        assert_eq!(reach("a.b.example.org", None), Some(Reach::Public));
        assert_eq!(reach("example.org", None), None);
        assert_eq!(reach("notexample.org", None), None);
        assert_eq!(reach("10.0.0.7", Some(8080)), Some(Reach::Literal));
        assert_eq!(reach("[::1]", Some(81)), Some(Reach::Literal));
        assert_eq!(AllowedHosts::default().reach("example.com", None, 80), None);
    }

    #[test]
    fn a_list_that_says_too_much_or_nothing_is_refused_with_the_entry() {
        for wrong in ["*", "*.com", "http://a.b", "a.*.b", "*.10.0.0.1", "a.b:port", "a/b"] {
            let why = AllowedHosts::parse(wrong).unwrap_err();
            assert!(why.contains(wrong) && why.contains("host:port"), "{why}");
        }
    }

    #[test]
    fn private_and_metadata_addresses_are_reached_only_by_who_names_them() {
        let at = |reach, address: &str| may_be_at(reach, address.parse().unwrap());
        for metadata in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"] {
            assert!(!at(Reach::Public, metadata) && !at(Reach::Named, metadata), "{metadata}");
            assert!(at(Reach::Literal, metadata));
        }
        for private in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "::1", "fd12::1", "0.0.0.0"]
        {
            assert!(!at(Reach::Public, private) && at(Reach::Named, private), "{private}");
        }
        for hidden in ["64:ff9b::a00:1", "2002:7f00:1::"] {
            assert!(!at(Reach::Public, hidden), "{hidden}");
        }
        for public in ["1.1.1.1", "2606:4700::1111", "100.128.0.1"] {
            assert!(at(Reach::Public, public), "{public}");
        }
    }
}
