//! Tests of the database: damage, limits, versions after a restart.

use serde_json::json;

use super::*;
use crate::storage::{FolderLock, Op, Store, Stored};

const NAMESPACE: u16 = crate::registry::NAMESPACES;
const THINGS: u16 = 1;

fn resources() -> Vec<Stored> {
    let stored = |name: &str, in_memory| Stored { name: name.to_owned(), in_memory };
    vec![stored("namespaces", false), stored("things", false), stored("views", true)]
}

fn seed() -> Vec<(Key, Draft)> {
    vec![(Key::new(NAMESPACE, "", "default"), Draft::new(&json!({ "metadata": { "name": "default" } })))]
}

fn open(folder: &Path, max_pages: Option<u32>) -> Store {
    let lock = FolderLock::take(folder).unwrap();
    Store::on_disk(folder, lock, resources(), seed(), max_pages).unwrap()
}

fn thing(name: &str) -> Key {
    Key::new(THINGS, "default", name)
}

/// Changes one letter in the stored body of an object.
pub(crate) fn damage_row(folder: &Path, name: &str) {
    let sql = "UPDATE objects SET body = CAST(replace(body, 'text', 'teXt') AS BLOB) WHERE name = ?1";
    assert_eq!(Connection::open(folder.join(DATABASE)).unwrap().execute(sql, [name]).unwrap(), 1);
}

fn draft(name: &str, text: &str) -> Draft {
    Draft::new(
        &json!({ "apiVersion": "v1", "kind": "Thing", "metadata": { "name": name, "namespace": "default" }, "text": text }),
    )
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_versions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), None);
    let first = store.write(thing("a"), Op::Create(draft("a", "1"))).await.unwrap();
    let second = store.write(thing("a"), Op::Update(draft("a", "2"), first.rv)).await.unwrap();
    store.write(thing("b"), Op::Create(draft("b", "1"))).await.unwrap();
    let gone = store.write(thing("b"), Op::Delete(second.rv + 1)).await.unwrap();
    store.stop().await;
    drop(store);
    let store = open(folder.path(), None);
    assert_eq!(store.get(&thing("a")).unwrap().bytes, second.bytes);
    assert!(store.get(&thing("b")).is_none());
    let next = store.write(thing("c"), Op::Create(draft("c", "1"))).await.unwrap();
    assert!(next.rv > gone.rv, "version {} was given out before {}", next.rv, gone.rv);
}

#[tokio::test]
async fn versions_of_views_are_not_given_out_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), None);
    let view = Key::new(2, "default", "v");
    let shown = store.write(view.clone(), Op::Create(draft("v", "1"))).await.unwrap();
    store.stop().await;
    drop(store);
    let store = open(folder.path(), None);
    assert!(store.get(&view).is_none(), "a view must not be on disk");
    assert!(store.read().rv >= shown.rv);
}

#[tokio::test]
async fn a_damaged_row_is_reported_by_name_and_the_rest_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), None);
    for name in ["a", "b", "c"] {
        store.write(thing(name), Op::Create(draft(name, "text"))).await.unwrap();
    }
    store.stop().await;
    drop(store);
    damage_row(folder.path(), "b");
    let store = open(folder.path(), None);
    let why = store.read().damaged.get(&thing("b")).unwrap().why.clone();
    assert!(why.contains("things default/b") && why.contains("checksum"), "{why}");
    assert!(store.get(&thing("a")).is_some() && store.get(&thing("c")).is_some());
    let again = store.write(thing("b"), Op::Create(draft("b", "new"))).await;
    assert!(matches!(again, Err(Refused::Damaged(_))), "{again:?}");
    store.write(thing("b"), Op::Discard).await.unwrap();
    store.write(thing("b"), Op::Create(draft("b", "new"))).await.unwrap();
    store.stop().await;
    drop(store);
    assert!(open(folder.path(), None).read().damaged.is_empty());
}

#[tokio::test]
async fn every_part_of_a_row_is_under_its_checksum() {
    for change in ["version = version + 1", "name = 'x'", "namespace = 'x'", "resource = 'namespaces'", "crc = crc + 1"]
    {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), None);
        store.write(thing("a"), Op::Create(draft("a", "text"))).await.unwrap();
        store.stop().await;
        drop(store);
        let sql = format!("UPDATE objects SET {change} WHERE name = 'a'");
        Connection::open(folder.path().join(DATABASE)).unwrap().execute(&sql, []).unwrap();
        assert_eq!(open(folder.path(), None).read().damaged.len(), 1, "{change}");
    }
}

#[tokio::test]
async fn a_kind_of_a_newer_version_is_reported_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), None);
    store.write(thing("a"), Op::Create(draft("a", "text"))).await.unwrap();
    store.stop().await;
    drop(store);
    let lock = FolderLock::take(folder.path()).unwrap();
    let older = vec![Stored { name: "namespaces".to_owned(), in_memory: false }];
    let store = Store::on_disk(folder.path(), lock, older, seed(), None).unwrap();
    let why = store.read().damaged.values().next().unwrap().why.clone();
    assert!(why.contains("unknown to this version"), "{why}");
    store.stop().await;
    drop(store);
    assert!(open(folder.path(), None).get(&thing("a")).is_some());
}

#[tokio::test]
async fn a_full_disk_fails_the_write_changes_nothing_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Some(40));
    let large = "x".repeat(64 * 1024);
    let mut stored = Vec::new();
    let refused = loop {
        let name = format!("n{}", stored.len());
        match store.write(thing(&name), Op::Create(draft(&name, &large))).await {
            Ok(object) => stored.push(object),
            Err(why) => break why,
        }
        assert!(stored.len() < 40, "the limit was never reached");
    };
    assert!(matches!(refused, Refused::Full(_)), "{refused:?}");
    let version = store.read().rv;
    assert_eq!(version, stored.last().unwrap().rv);
    assert!(store.get(&thing(&format!("n{}", stored.len()))).is_none());
    store.write(thing("n0"), Op::Delete(stored[0].rv)).await.unwrap();
    store.write(thing("small"), Op::Create(draft("small", "x"))).await.unwrap();
    store.stop().await;
    drop(store);
    let store = open(folder.path(), Some(40));
    assert!(store.get(&thing("small")).is_some() && store.get(&thing("n0")).is_none());
    assert!(store.read().damaged.is_empty());
}

#[tokio::test]
async fn a_database_of_a_newer_format_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), None);
    store.stop().await;
    drop(store);
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    write_meta(&connection, "format", FORMAT + 1).unwrap();
    let lock = FolderLock::take(folder.path()).unwrap();
    let refused = Store::on_disk(folder.path(), lock, resources(), seed(), None).err();
    assert!(matches!(refused, Some(DatabaseError::Newer(format)) if format == FORMAT + 1));
}

#[tokio::test]
async fn of_two_writes_based_on_one_version_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), None);
    let basis = store.write(thing("a"), Op::Create(draft("a", "0"))).await.unwrap().rv;
    let writes = (0..20).map(|at| store.write(thing("a"), Op::Update(draft("a", &at.to_string()), basis)));
    let outcomes = futures_util::future::join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.as_ref().err() == Some(&Refused::Changed)).count(), 19);
}
