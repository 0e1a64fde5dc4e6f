//! Tests of the ring of changes.

use serde_json::json;

use super::*;
use crate::storage::object::Draft;

fn change(rv: u64) -> Arc<Change> {
    let object = Arc::new(Draft::new(&json!({ "metadata": { "name": "x" } })).seal(rv, 1));
    let key = Key::new(0, "", "x");
    Arc::new(Change { key, before: None, after: Some(object.clone()), shown: object })
}

fn after(ring: &Ring, rv: u64) -> Result<Vec<u64>, TooOld> {
    ring.after(rv).map(|changes| changes.map(|change| change.rv()).collect())
}

#[test]
fn changes_after_a_version_come_in_order() {
    let mut ring = Ring::new(10);
    (11..=13).for_each(|rv| ring.push(change(rv)));
    assert_eq!(after(&ring, 10), Ok(vec![11, 12, 13]));
    assert_eq!(after(&ring, 12), Ok(vec![13]));
    assert_eq!(after(&ring, 13), Ok(vec![]));
    assert_eq!(after(&ring, 99), Ok(vec![]));
}

#[test]
fn a_version_older_than_what_is_kept_is_too_old() {
    let mut ring = Ring::new(0);
    ring.keep(2);
    (1..=5).for_each(|rv| ring.push(change(rv)));
    assert_eq!(after(&ring, 3), Ok(vec![4, 5]));
    assert_eq!(after(&ring, 2), Err(TooOld { oldest: 3 }));
}

#[test]
fn large_objects_cannot_fill_the_memory() {
    let mut ring = Ring::new(0);
    let text = "x".repeat(1024 * 1024);
    for rv in 1..=40 {
        let object = Arc::new(Draft::new(&json!({ "metadata": { "name": "x" }, "data": text })).seal(rv, 1));
        let key = Key::new(0, "", "x");
        ring.push(Arc::new(Change { key, before: None, after: Some(object.clone()), shown: object }));
    }
    assert!(ring.bytes <= MAX_BYTES, "{} bytes are kept", ring.bytes);
    assert!(after(&ring, 39).is_ok());
}
