//! Published vectors and the rules around them.

use super::*;

const MASTER: &[u8] = b"test-master";
const SIGNED_AT: i64 = 1_700_000_030;

#[test]
fn channel_keys_are_those_of_the_protocol() {
    let key = |service, namespace| hex(&derived(MASTER, service, namespace));
    assert_eq!(key(STORAGE, None), "6a97235af394a42cc265b2c2e242a26da031c1d71ac409b06aaab432f6b67982");
    assert_eq!(key(EXECUTOR, None), "656a7b63f1dc54acf292f6a43557f3d7fb2f5beee52511a4ba99d242a7e23885");
    assert_eq!(key(FETCHER, None), "7fef7f30fada2a61db5d61f5cfcddaeceb21f7f7079bfaa2f685e21ab973f505");
    assert_eq!(key(FETCHER, Some("ns1")), "971ff167cde7725d29485a555c1e4698804afc530b70a8548f45732d864a84ab");
}

#[test]
fn signatures_are_those_of_the_protocol() {
    let key = Key::derive(MASTER, STORAGE, None);
    let signed = sign(&key, "GET", "/v1/archive?id=abc", b"", SIGNED_AT);
    assert_eq!(signed.timestamp, "1700000030");
    assert_eq!(signed.signature, "44b8f316e25a36fb788a704eefa891c8e232d2bdb4337110f147f6c0a67c5f36");
    let signed = sign(&key, "POST", "/v2/x", br#"{"a":1}"#, SIGNED_AT);
    assert_eq!(signed.signature, "c75d9e6aac16ae0ed4101d35d6ff7d8aec2efd2459e098d4f15edbc956417a46");
}

#[test]
fn the_old_key_is_accepted_while_secrets_rotate_and_a_strange_one_is_not() {
    let [new, old, strange] =
        [&b"new"[..], b"old", b"strange"].map(|master| Key::derive(master, ROUTER_INTERNAL, None));
    let keys = [new, old.clone()];
    let check = |signer: &Key| {
        let signed = sign(signer, "GET", "/x", b"body", SIGNED_AT);
        verify(&keys, "GET", "/x", b"body", &signed.timestamp, &signed.signature, SIGNED_AT + 5)
    };
    assert_eq!(check(&old), Ok(()));
    assert_eq!(check(&keys[0]), Ok(()));
    assert_eq!(check(&strange), Err(SignatureError::Mismatch));
}

#[test]
fn any_change_of_method_uri_body_or_minute_breaks_the_signature() {
    let keys = [Key::derive(MASTER, ROUTER_INTERNAL, None)];
    let signed = sign(&keys[0], "GET", "/x?a=1", b"body", SIGNED_AT);
    let check =
        |method, uri, body: &[u8], timestamp| verify(&keys, method, uri, body, timestamp, &signed.signature, SIGNED_AT);
    assert_eq!(check("GET", "/x?a=1", b"body", "1700000030"), Ok(()));
    assert_eq!(check("POST", "/x?a=1", b"body", "1700000030"), Err(SignatureError::Mismatch));
    assert_eq!(check("GET", "/x?a=2", b"body", "1700000030"), Err(SignatureError::Mismatch));
    assert_eq!(check("GET", "/x?a=1", b"bodY", "1700000030"), Err(SignatureError::Mismatch));
    assert_eq!(check("GET", "/x?a=1", b"body", "1700000060"), Err(SignatureError::Mismatch));
}

#[test]
fn freshness_is_sixty_seconds_either_way_and_known_before_the_body() {
    let check = |now| check_fresh(Some("1700000030"), Some("aa"), now);
    assert_eq!(check(SIGNED_AT + 60), Ok(()));
    assert_eq!(check(SIGNED_AT - 60), Ok(()));
    assert_eq!(check(SIGNED_AT + 61), Err(SignatureError::Stale { age_seconds: 61 }));
    assert_eq!(check(SIGNED_AT - 61), Err(SignatureError::Stale { age_seconds: -61 }));
    assert_eq!(check_fresh(None, Some("aa"), SIGNED_AT), Err(SignatureError::Missing));
    assert_eq!(check_fresh(Some("1700000030"), None, SIGNED_AT), Err(SignatureError::Missing));
    assert_eq!(check_fresh(Some("soon"), Some("aa"), SIGNED_AT), Err(SignatureError::Missing));
    assert!(check_fresh(Some("-9223372036854775808"), Some("aa"), i64::MAX).is_err());
}

#[test]
fn unreadable_signatures_are_refused() {
    let keys = [Key::derive(MASTER, ROUTER_INTERNAL, None)];
    let check = |signature| verify(&keys, "GET", "/", b"", "1700000030", signature, SIGNED_AT);
    assert_eq!(check("xyz"), Err(SignatureError::Missing));
    assert_eq!(check("ABCD"), Err(SignatureError::Missing));
    assert_eq!(check(""), Err(SignatureError::Mismatch));
}
