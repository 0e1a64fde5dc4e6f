//! Versions and paths of host programs.

use super::*;

#[test]
fn versions_are_compared_as_numbers() {
    assert!(at_least("18.0.0", "18.0"));
    assert!(at_least("20.20.2", "18.0"));
    assert!(at_least("3.10.1", "3.9"));
    assert!(!at_least("3.8.19", "3.9"));
    assert!(!at_least("9.9", "18.0"));
    assert!(at_least("3.14.0rc1", "3.9"));
    assert!(!at_least("garbage", "1"));
}

#[test]
fn system_folders_and_repetitions_are_left_out() {
    let paths = ["/usr/bin/node", "/home/a/.nvm/v20", "/home/a/.nvm/v20/bin/node", "/", "relative"];
    let left = without_system_folders(paths.iter().map(PathBuf::from).collect());
    assert_eq!(left, [PathBuf::from("/home/a/.nvm/v20")]);
}
