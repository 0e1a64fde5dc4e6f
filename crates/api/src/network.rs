//! What of the network a function may reach: two annotations of a Function, since the wire format has no field for it.
//!
//! | `fission.io/network` | meaning |
//! |---|---|
//! | `host`, or not said | the machine's network, without the addresses of cloud metadata |
//! | `loopback` | a network of its own with nothing in it but `127.0.0.1` and `::1` |
//! | `none` | a network of its own with nothing in it |
//! | `allow-list` | the machine's network, and of it only what `fission.io/network-allow` lists |

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::labels::{NETWORK, NETWORK_ALLOW};

/// Destinations one function may list: each is looked at for every connection it makes.
pub const MAX_DESTINATIONS: usize = 64;

/// What of the network a function may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The machine's network.
    #[default]
    Host,
    /// Only itself.
    Loopback,
    /// Nothing.
    None,
    /// These destinations.
    AllowList(Vec<Destination>),
}

/// An address or a range of them, and a port of it or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The address; of a range, its first bits count.
    pub address: IpAddr,
    /// How many bits count.
    pub prefix: u8,
    /// The port; `None` is every port.
    pub port: Option<u16>,
}

/// An annotation that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{annotation}: {value:?} {why}")]
pub struct NetworkError {
    /// Which annotation.
    pub annotation: &'static str,
    /// What it says.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

impl Network {
    /// What an object's annotations say.
    pub fn of(meta: &ObjectMeta) -> Result<Self, NetworkError> {
        let annotation = |name: &str| meta.annotations.as_ref()?.get(name).map(|value| value.trim());
        let wrong = |annotation: &'static str, value: &str, why: &str| NetworkError {
            annotation,
            value: value.to_owned(),
            why: why.to_owned(),
        };
        let listed = annotation(NETWORK_ALLOW);
        let network = match annotation(NETWORK).unwrap_or("host") {
            "host" => Network::Host,
            "loopback" => Network::Loopback,
            "none" => Network::None,
            "allow-list" => return destinations(listed.unwrap_or_default()).map(Network::AllowList),
            other => return Err(wrong(NETWORK, other, "must be host, loopback, none or allow-list")),
        };
        match listed {
            Some(list) => Err(wrong(NETWORK_ALLOW, list, &format!("counts only with {NETWORK}: allow-list"))),
            None => Ok(network),
        }
    }

    /// Whether an instance must be made for it: one that waits for any function has the machine's network.
    pub fn needs_own_instance(&self) -> bool {
        *self != Network::Host
    }

    /// Its word in the annotation.
    pub fn word(&self) -> &'static str {
        match self {
            Network::Host => "host",
            Network::Loopback => "loopback",
            Network::None => "none",
            Network::AllowList(_) => "allow-list",
        }
    }
}

/// Reads a list such as `10.0.0.0/8, 192.0.2.7:5432, [2001:db8::]/32`.
fn destinations(list: &str) -> Result<Vec<Destination>, NetworkError> {
    let wrong = |value: &str, why: String| NetworkError { annotation: NETWORK_ALLOW, value: value.to_owned(), why };
    let entries: Vec<&str> = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.is_empty() {
        return Err(wrong(list, "must list at least one address; to reach nothing, use none".to_owned()));
    }
    if entries.len() > MAX_DESTINATIONS {
        return Err(wrong(list, format!("lists {}; at most {MAX_DESTINATIONS} can be listed", entries.len())));
    }
    let shape = "must be an address, a range or one with a port: 192.0.2.7, 10.0.0.0/8, 192.0.2.7:443, \
                 [2001:db8::1]:443; names are not resolved";
    entries.iter().map(|entry| destination(entry).ok_or_else(|| wrong(entry, shape.to_owned()))).collect()
}

fn destination(entry: &str) -> Option<Destination> {
    // What is in brackets, or up to a port, is the address with its range.
    let (address, port) = match entry.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let (range, port) = rest.split_once(':').map_or((rest, None), |(range, port)| (range, Some(port)));
            (format!("{address}{range}"), port)
        }
        None if entry.matches(':').count() == 1 => {
            let (address, port) = entry.split_once(':')?;
            (address.to_owned(), Some(port))
        }
        None => (entry.to_owned(), None),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    let (address, prefix) = address.split_once('/').map_or((&address[..], None), |(ip, bits)| (ip, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some(Destination { address, prefix, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)]) -> Result<Network, String> {
        let annotations = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let meta = ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
        Network::of(&meta).map_err(|error| error.to_string())
    }

    #[test]
    fn a_function_that_says_nothing_has_the_machines_network() {
        assert_eq!(Network::of(&ObjectMeta::default()), Ok(Network::Host));
        assert!(!Network::Host.needs_own_instance());
    }

    #[test]
    fn a_word_is_read_and_another_is_refused_with_those_there_are() {
        assert_eq!(read(&[(NETWORK, "none")]), Ok(Network::None));
        assert_eq!(read(&[(NETWORK, "loopback")]), Ok(Network::Loopback));
        let refused = read(&[(NETWORK, "off")]).unwrap_err();
        assert!(refused.contains("host, loopback, none or allow-list"), "{refused}");
    }

    #[test]
    fn a_list_has_addresses_ranges_and_ports() {
        let network = read(&[(NETWORK, "allow-list"), (NETWORK_ALLOW, "10.0.0.0/8, 192.0.2.7:5432,[2001:db8::]/32")]);
        let at = |address: &str, prefix, port| Destination { address: address.parse().unwrap(), prefix, port };
        let expected = vec![at("10.0.0.0", 8, None), at("192.0.2.7", 32, Some(5432)), at("2001:db8::", 32, None)];
        assert_eq!(network, Ok(Network::AllowList(expected)));
        let with_port = destination("[2001:db8::1]:443").unwrap();
        assert_eq!((with_port.prefix, with_port.port), (128, Some(443)));
        assert_eq!(destination("::1").unwrap().prefix, 128);
    }

    #[test]
    fn a_list_that_cannot_be_kept_is_refused() {
        for list in ["", "example.org", "10.0.0.0/33", "1.2.3.4:0", "1.2.3.4:99999", "[::1"] {
            let refused = read(&[(NETWORK, "allow-list"), (NETWORK_ALLOW, list)]).unwrap_err();
            assert!(refused.contains(NETWORK_ALLOW), "{refused}");
        }
        let refused = read(&[(NETWORK_ALLOW, "10.0.0.0/8")]).unwrap_err();
        assert!(refused.contains("counts only with"), "{refused}");
    }
}
