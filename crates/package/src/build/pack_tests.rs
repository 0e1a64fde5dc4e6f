//! Results of builds become archives that can be unpacked again, and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::archive;

fn packed(fill: impl FnOnce(&Path)) -> (tempfile::TempDir, Vec<String>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let result = dir.path().join("deploy");
    fs::create_dir(&result).unwrap();
    fill(&result);
    let mut file = tempfile::tempfile().unwrap();
    let notes = pack(&result, &mut file, &UnpackLimits::default()).unwrap();
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    archive::unpack(&mut file, &out, &UnpackLimits::default()).unwrap();
    (dir, notes, bytes)
}

#[test]
fn a_folder_comes_back_as_it_was_and_links_inside_it_become_files() {
    let (dir, notes, _) = packed(|result| {
        fs::create_dir_all(result.join("node_modules/.bin")).unwrap();
        fs::create_dir_all(result.join("node_modules/tool")).unwrap();
        fs::write(result.join("node_modules/tool/cli.js"), "run").unwrap();
        fs::set_permissions(result.join("node_modules/tool/cli.js"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../tool/cli.js", result.join("node_modules/.bin/tool")).unwrap();
        symlink("tool", result.join("node_modules/alias")).unwrap();
        fs::write(result.join("index with spaces.js"), "code").unwrap();
    });
    let out = dir.path().join("out");
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(fs::read_to_string(out.join("node_modules/.bin/tool")).unwrap(), "run");
    assert_eq!(fs::read_to_string(out.join("node_modules/alias/cli.js")).unwrap(), "run");
    assert_eq!(fs::read_to_string(out.join("index with spaces.js")).unwrap(), "code");
    let mode = fs::metadata(out.join("node_modules/tool/cli.js")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "what could be executed still can");
}

#[test]
fn links_that_lead_out_are_left_out_and_told() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "secret of the host").unwrap();
    let (dir, notes, bytes) = packed(|result| {
        symlink(secret.path(), result.join("absolute")).unwrap();
        symlink("../../../../etc/passwd", result.join("upwards")).unwrap();
        symlink("/proc/self/root/etc/passwd", result.join("magic")).unwrap();
        symlink("nowhere", result.join("dangling")).unwrap();
        symlink("loop", result.join("loop")).unwrap();
        fs::write(result.join("code"), "code").unwrap();
    });
    assert_eq!(notes.len(), 5, "{notes:?}");
    let kept: Vec<_> = fs::read_dir(dir.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(kept, ["code"]);
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_result_that_is_itself_a_link_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc", dir.path().join("deploy")).unwrap();
    let refused = pack(&dir.path().join("deploy"), &mut tempfile::tempfile().unwrap(), &UnpackLimits::default());
    assert!(matches!(refused, Err(PackError::Io(_))), "{refused:?}");
}

#[test]
fn pipes_do_not_hold_up_packing() {
    let (_dir, notes, _) = packed(|result| {
        rustix::fs::mkfifoat(CWD, result.join("pipe"), Mode::from_raw_mode(0o644)).unwrap();
        fs::write(result.join("code"), "code").unwrap();
    });
    assert_eq!(notes, ["left out pipe: neither a file nor a folder"]);
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let fill = |result: &Path| {
        for name in ["b", "a", "c"] {
            fs::write(result.join(name), name).unwrap();
        }
    };
    assert_eq!(packed(fill).2, packed(fill).2);
}

#[test]
fn packages_that_link_to_each_other_do_not_go_on_for_ever() {
    let (dir, notes, _) = packed(|result| {
        for (own, other) in [("a", "b"), ("b", "a")] {
            fs::create_dir_all(result.join(own).join("node_modules")).unwrap();
            fs::write(result.join(own).join("index.js"), own).unwrap();
            symlink(format!("../../{other}"), result.join(own).join("node_modules").join(other)).unwrap();
        }
    });
    assert_eq!(fs::read_to_string(dir.path().join("out/a/node_modules/b/index.js")).unwrap(), "b");
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn empty_folders_are_kept() {
    let (dir, ..) = packed(|result| fs::create_dir_all(result.join("made/for/later")).unwrap());
    assert!(dir.path().join("out/made/for/later").is_dir());
}

#[test]
fn a_result_over_a_limit_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let result = dir.path().join("deploy");
    fs::create_dir(&result).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(result.join(name), [0; 100]).unwrap();
    }
    for (limits, named) in [
        (UnpackLimits { entries: 2, ..Default::default() }, "entries = 2"),
        (UnpackLimits { total_bytes: 250, ..Default::default() }, "total_bytes = 250"),
        (UnpackLimits { file_bytes: 99, ..Default::default() }, "file_bytes = 99"),
    ] {
        let refused = pack(&result, &mut tempfile::tempfile().unwrap(), &limits).unwrap_err().to_string();
        assert!(refused.contains(named), "{refused}");
    }
}
