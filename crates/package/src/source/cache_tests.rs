//! What stays in the cache and what goes.

use std::io::Write;

use super::*;

fn put(cache: &CodeCache, digest: &str, bytes: usize) -> PathBuf {
    let mut file = cache.staging().unwrap();
    file.write_all(&vec![b'x'; bytes]).unwrap();
    cache.admit(file, digest, false, &UnpackLimits::default()).unwrap()
}

fn age(cache: &CodeCache, digest: &str, age: Duration) {
    cache.lock().get_mut(digest).unwrap().used = SystemTime::now() - age;
}

#[test]
fn the_longest_unused_code_goes_first_and_used_code_stays() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(dir.path(), 250, Duration::from_secs(60)).unwrap();
    for name in ["a", "b", "c", "d"] {
        put(&cache, name, 100);
    }
    age(&cache, "b", Duration::from_secs(300));
    age(&cache, "c", Duration::from_secs(200));
    age(&cache, "d", Duration::from_secs(100));
    cache.trim();
    let there = |name| cache.find(name, false).is_some();
    assert_eq!((there("a"), there("b"), there("c"), there("d")), (true, false, false, true));
    put(&cache, "e", 1000);
    cache.trim();
    assert!(["a", "d", "e"].into_iter().all(|name| cache.find(name, false).is_some()));
}

#[test]
fn a_restart_finds_what_was_there_and_drops_what_was_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    let open = || CodeCache::open(dir.path(), 150, Duration::ZERO).unwrap();
    let first = open();
    let path = put(&first, "a", 100);
    put(&first, "b", 100);
    let partial = first.dir.join(".partial-x");
    fs::write(&partial, "half").unwrap();
    let other_boot = dir.path().join("another-boot");
    fs::create_dir(&other_boot).unwrap();
    let again = open();
    assert_eq!(again.find("a", false), Some(path));
    again.trim();
    assert_eq!([again.find("a", false), again.find("b", false)].iter().flatten().count(), 1);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while partial.exists() || other_boot.exists() {
        assert!(std::time::Instant::now() < deadline, "what was not finished must be removed");
        std::thread::yield_now();
    }
}

#[test]
fn code_somebody_deleted_by_hand_is_not_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(dir.path(), 1000, Duration::ZERO).unwrap();
    let path = put(&cache, "a", 10);
    fs::remove_file(&path).unwrap();
    assert_eq!(cache.find("a", false), None);
    assert!(!cache.touch(&path));
}
