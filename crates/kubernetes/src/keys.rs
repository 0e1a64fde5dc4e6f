//! The keys that pods of a namespace may hold: derived from the master secret for that namespace, never the master itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fission_rpc::signing::{self, derived};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::options::InternalSecret;
use crate::template::KEYS;

/// Who writes.
pub(crate) const MANAGER: &str = "fission";

/// Writes the Secret with the keys into a namespace.
pub async fn provide(client: &Client, secret: &InternalSecret, namespace: &str) -> kube::Result<()> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": KEYS, "namespace": namespace },
        "stringData": of(secret, namespace),
    });
    api.patch(KEYS, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&body)).await.map(|_| ())
}

/// The keys by name, in hex: some servers refuse variables that are no text.
fn of(secret: &InternalSecret, namespace: &str) -> BTreeMap<String, String> {
    let channels =
        [("fetcherKey", signing::FETCHER), ("builderKey", signing::BUILDER), ("storageKey", signing::STORAGE)];
    let mut all = BTreeMap::new();
    for (name, service) in channels {
        all.insert(name.to_owned(), hex(&derived(&secret.current, service, Some(namespace))));
        if let Some(old) = &secret.old {
            all.insert(format!("{name}Old"), hex(&derived(old, service, Some(namespace))));
        }
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_gets_keys_of_its_own_in_hex() {
        // The vector of the contract.
        let secret = InternalSecret { current: b"test-master".to_vec(), old: None };
        let keys = of(&secret, "ns1");
        assert_eq!(keys["fetcherKey"], "971ff167cde7725d29485a555c1e4698804afc530b70a8548f45732d864a84ab");
        assert_ne!(keys["fetcherKey"], of(&secret, "ns2")["fetcherKey"]);
        assert!(!keys.contains_key("fetcherKeyOld"));
        let rotating = InternalSecret { current: b"next".to_vec(), old: Some(b"test-master".to_vec()) };
        assert_eq!(of(&rotating, "ns1")["fetcherKeyOld"], keys["fetcherKey"]);
    }
}
