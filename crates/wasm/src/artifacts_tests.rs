//! Machine code on disk: private, complete, bounded.

use super::*;

#[test]
fn the_folder_of_machine_code_is_private_even_where_it_was_not() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("a/b");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    private(&folder).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let link = data.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    assert!(private(&link).is_err(), "a link leads elsewhere");
}

#[test]
fn what_was_not_loaded_for_longest_goes_first() {
    let data = tempfile::tempdir().unwrap();
    let file = |name: &str, age: u64| {
        let path = data.path().join(name);
        fs::write(&path, [0; 100]).unwrap();
        let then = SystemTime::now() - std::time::Duration::from_secs(age);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        path
    };
    let (oldest, old, newest) = (file("a", 30), file("b", 20), file("c", 10));
    prune(&newest, 200);
    assert!(!oldest.exists() && old.exists() && newest.exists());
    prune(&newest, 10);
    assert!(!old.exists() && newest.exists(), "what was just compiled stays");
}
