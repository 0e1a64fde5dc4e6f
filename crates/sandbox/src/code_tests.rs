//! Tests of placing code.

use super::*;

#[test]
fn a_single_file_is_linked_and_executable() {
    let folder = tempfile::tempdir().unwrap();
    let (code, at) = (folder.path().join("code"), folder.path().join("user"));
    fs::write(&code, "echo hi").unwrap();
    fs::set_permissions(&code, Permissions::from_mode(0o600)).unwrap();
    place(&code, &at, true).unwrap();
    let placed = fs::metadata(&at).unwrap();
    assert_eq!(placed.ino(), fs::metadata(&code).unwrap().ino());
    assert_eq!(placed.mode() & 0o555, 0o555);
}

#[test]
fn a_directory_keeps_its_shape_and_becomes_readable() {
    let folder = tempfile::tempdir().unwrap();
    let (code, at) = (folder.path().join("code"), folder.path().join("placed"));
    fs::create_dir_all(code.join("a/b")).unwrap();
    fs::write(code.join("a/b/main.py"), "x").unwrap();
    fs::set_permissions(code.join("a/b/main.py"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(code.join("a"), Permissions::from_mode(0o700)).unwrap();
    symlink("b/main.py", code.join("a/link")).unwrap();
    place(&code, &at, true).unwrap();
    assert_eq!(fs::read_to_string(at.join("a/link")).unwrap(), "x");
    assert_eq!(fs::metadata(at.join("a")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(at.join("a/b/main.py")).unwrap().mode() & 0o444, 0o444);
}

#[test]
fn code_that_is_missing_or_already_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("placed");
    assert!(place(&folder.path().join("none"), &at, true).is_err());
    fs::create_dir(&at).unwrap();
    assert!(place(folder.path(), &at, true).is_err());
}

#[test]
fn only_names_without_a_path_are_plain() {
    assert!(is_plain_name("user") && is_plain_name("deployarchive") && is_plain_name("..x"));
    for name in ["", ".", "..", "a/b", "/a", "a/"] {
        assert!(!is_plain_name(name), "{name}");
    }
}
