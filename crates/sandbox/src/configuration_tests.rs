//! Files of a configuration on the host.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;

fn directories(top: &Path) -> Directories {
    let directories = Directories::below(&top.join("instance"));
    directories.make(None, false).unwrap();
    directories
}

fn file(root: Root, path: &str) -> File {
    File { root, path: path.to_owned(), content: path.as_bytes().to_vec() }
}

#[test]
fn files_are_below_their_root_and_only_their_owner_can_read_them() {
    let top = tempfile::tempdir().unwrap();
    let directories = directories(top.path());
    let files = [
        file(Root::Secrets, "default/db/password"),
        file(Root::Secrets, "default/db/user"),
        file(Root::Configs, "app/mode"),
    ];
    place(&files, &directories, None).unwrap();
    for (root, path) in [(&directories.secrets, "default/db/password"), (&directories.configs, "app/mode")] {
        let at = root.join(path);
        assert_eq!(fs::read_to_string(&at).unwrap(), path);
        assert_eq!(fs::metadata(&at).unwrap().mode() & 0o777, 0o400);
        assert_eq!(fs::metadata(at.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }
    directories.remove().unwrap();
    assert!(!directories.top.exists());
}

#[test]
fn nothing_is_written_outside_its_root_nor_over_another_file() {
    let top = tempfile::tempdir().unwrap();
    let directories = directories(top.path());
    for path in ["../outside", "a/../../outside", "/tmp/outside", ""] {
        assert!(place(&[file(Root::Configs, path)], &directories, None).is_err(), "{path:?}");
    }
    assert!(!directories.top.join("outside").exists());
    let twice = [file(Root::Configs, "a/b"), file(Root::Configs, "a/b")];
    assert!(place(&twice, &directories, None).is_err());
    assert!(place(&[file(Root::Configs, "a/b/c")], &directories, None).is_err());
}
