//! Finding the component, reading annotations, placing files.

use serde_json::json;

use super::*;

fn saying(annotations: serde_json::Value) -> Result<Wishes, String> {
    wishes(serde_json::from_value::<Option<_>>(annotations).unwrap().as_ref())
}

#[test]
fn a_store_serves_many_requests_unless_the_function_or_else_the_component_says_otherwise() {
    let reuse = |annotations, own| saying(annotations).map(|wishes| super::reuse(wishes.reuse, own));
    assert_eq!(reuse(json!({}), None), Ok(DEFAULT_REUSE));
    assert_eq!(reuse(json!({}), Some(1)), Ok(1));
    assert_eq!(reuse(json!({ REQUESTS_PER_STORE: "7" }), Some(1)), Ok(7));
    for wrong in ["0", "many", "-1"] {
        let why = reuse(json!({ REQUESTS_PER_STORE: wrong }), None).unwrap_err();
        assert!(why.contains(REQUESTS_PER_STORE) && why.contains(wrong), "{why}");
    }
}

#[test]
fn a_wrong_list_of_hosts_is_told_with_its_annotation() {
    let why = saying(json!({ ALLOWED_HOSTS: "https://a.b" })).unwrap_err();
    assert!(why.contains(ALLOWED_HOSTS) && why.contains("URL"), "{why}");
}

#[test]
fn the_component_of_a_folder_is_the_only_one_or_the_one_named() {
    let folder = tempfile::tempdir().unwrap();
    let none = the_only_one(folder.path()).unwrap_err();
    assert!(none.contains("no file that ends in .wasm"), "{none}");
    fs::write(folder.path().join("one.wasm"), "").unwrap();
    assert_eq!(the_only_one(folder.path()).unwrap(), "one.wasm");
    fs::write(folder.path().join("two.wasm"), "").unwrap();
    let several = the_only_one(folder.path()).unwrap_err();
    assert!(several.contains("one.wasm, two.wasm") && several.contains("--entrypoint"), "{several}");
    assert_eq!(named(folder.path(), "two").unwrap(), "two.wasm");
    assert_eq!(named(folder.path(), "two.wasm").unwrap(), "two.wasm");
    for wrong in ["three", "../one.wasm", "/one.wasm"] {
        let why = named(folder.path(), wrong).unwrap_err();
        assert!(why.contains(wrong) && why.contains("one.wasm"), "{why}");
    }
}

#[test]
fn files_are_placed_for_this_user_alone_and_removed_with_the_instance() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let file = File { root: Root::Secrets, path: "default/s/key".to_owned(), content: b"value".to_vec() };
    let at = data.path().join("1");
    let placed = place(std::slice::from_ref(&file), at.clone()).unwrap();
    let path = at.join("secrets/default/s/key");
    assert_eq!(fs::read(&path).unwrap(), b"value");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o700);
    drop(placed);
    assert!(!at.exists());
    let climbing = File { path: "../key".to_owned(), ..file };
    assert!(place(&[climbing], at.clone()).is_err());
    assert!(!at.exists(), "what was placed before it failed is removed");
}
