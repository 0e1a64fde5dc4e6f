//! What ends up in an image.

use super::*;

fn paths(contents: &Contents) -> Vec<&str> {
    contents.entries().map(|(path, _)| path).collect()
}

#[test]
fn parents_are_made_and_come_first() {
    let mut contents = Contents::default();
    contents.text("/a/b/c", "x").expect("a path within");
    contents.text("a-b", "x").expect("a path within");
    assert_eq!(paths(&contents), ["a", "a-b", "a/b", "a/b/c"]);
}

#[test]
fn nothing_leads_out() {
    let mut contents = Contents::default();
    contents.link("up", "../..").expect("a link may lead anywhere");
    contents.link("far", "/usr").expect("a link may lead anywhere");
    for path in ["../a", "a/../../b", "up/a", "", "/", "."] {
        assert!(contents.text(path, "x").is_err(), "{path}");
    }
    contents.text("far/a", "x").expect("an absolute link leads within the image");
    assert_eq!(paths(&contents), ["far", "up", "usr", "usr/a"]);
}

#[test]
fn links_on_the_way_are_followed_and_circles_found() {
    let mut contents = Contents::default();
    contents.link("lib64", "usr/lib64").expect("a link");
    contents.text("lib64/ld.so", "x").expect("a path within");
    assert!(contents.has("/usr/lib64/ld.so") && contents.has("lib64/ld.so"));
    contents.link("one", "two").expect("a link");
    contents.link("two", "one").expect("a link");
    assert!(contents.text("one/a", "x").is_err());
}

#[test]
fn a_file_holds_nothing_and_a_folder_stays_one() {
    let mut contents = Contents::default();
    contents.text("a", "x").expect("a path within");
    assert!(contents.text("a/b", "x").is_err());
    contents.folder("c", 0o755).expect("a folder");
    assert!(contents.text("c", "x").is_err());
    contents.folder("c", 0o1777).expect("a folder gets another mode");
    assert_eq!(contents.entries().find(|(path, _)| *path == "c"), Some(("c", &Entry::Folder { mode: 0o1777 })));
}

#[test]
fn a_folder_of_the_host_comes_with_its_links_and_without_its_modes() {
    let host = tempfile::tempdir().expect("a temporary folder");
    let outside = tempfile::tempdir().expect("a temporary folder");
    fs::write(outside.path().join("far"), "far").expect("a file can be written");
    fs::create_dir(host.path().join("in")).expect("a folder can be made");
    fs::write(host.path().join("in/run"), "x").expect("a file can be written");
    fs::set_permissions(host.path().join("in/run"), fs::Permissions::from_mode(0o700)).expect("a mode can be set");
    for (link, target) in [("near", Path::new("in/run")), ("gone", Path::new("/nowhere/at/all"))] {
        std::os::unix::fs::symlink(target, host.path().join(link)).expect("a link can be made");
    }
    std::os::unix::fs::symlink(outside.path().join("far"), host.path().join("far")).expect("a link can be made");
    let mut contents = Contents::default();
    contents.host_folder(host.path(), "to", &|path| path != "left-out").expect("the folder can be read");
    assert_eq!(paths(&contents), ["to", "to/far", "to/in", "to/in/run", "to/near"]);
    let entry = |wanted: &str| contents.entries().find(|(path, _)| *path == wanted).map(|(_, entry)| entry.clone());
    assert_eq!(entry("to/near"), Some(Entry::Link { target: "in/run".to_owned() }));
    assert!(matches!(entry("to/far"), Some(Entry::File { mode: 0o644, size: 3, .. })));
    assert!(matches!(entry("to/in/run"), Some(Entry::File { mode: 0o755, size: 1, .. })));
}

#[test]
fn compiled_python_is_as_old_as_its_source() {
    let header = |flags: u8| [&[1, 2, 3, 4, flags, 0, 0, 0][..], &[9; 12]].concat();
    assert_eq!(without_time(header(0))[8..12], [0; 4]);
    assert_eq!(without_time(header(1)), header(1));
    assert_eq!(without_time(vec![0; 5]), [0; 5]);
}
