//! The flags that say what of the network a function may reach: annotations, since the wire format has no field for it.

use clap::Args;
use fission_api::labels::{NETWORK, NETWORK_ALLOW};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What of the network a function may reach.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NetworkFlags {
    /// Network it may reach, kept by a platform on one machine: host, loopback, none or allow-list
    #[arg(long, value_name = "WHICH", value_parser = ["host", "loopback", "none", "allow-list"])]
    pub(crate) network: Option<String>,
    /// Address, range or address:port that --network allow-list may reach; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) network_allow: Vec<String>,
}

impl NetworkFlags {
    /// Writes the given ones into a function's annotations; the others stay as they are.
    pub(crate) fn apply(&self, meta: &mut ObjectMeta) {
        if let Some(network) = &self.network {
            let annotations = meta.annotations.get_or_insert_default();
            annotations.insert(NETWORK.to_owned(), network.clone());
            // A list of before says nothing with another word.
            if network != "allow-list" {
                annotations.remove(NETWORK_ALLOW);
            }
        }
        if !self.network_allow.is_empty() {
            let annotations = meta.annotations.get_or_insert_default();
            annotations.insert(NETWORK_ALLOW.to_owned(), self.network_allow.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use fission_api::Network;

    use super::*;

    #[test]
    fn a_list_is_written_and_goes_with_another_word() {
        let mut meta = ObjectMeta::default();
        let network_allow = vec!["10.0.0.0/8".to_owned(), "192.0.2.7:443".to_owned()];
        NetworkFlags { network: Some("allow-list".to_owned()), network_allow }.apply(&mut meta);
        assert!(matches!(Network::of(&meta), Ok(Network::AllowList(listed)) if listed.len() == 2));
        NetworkFlags { network: Some("none".to_owned()), network_allow: Vec::new() }.apply(&mut meta);
        assert_eq!(Network::of(&meta), Ok(Network::None));
    }
}
