//! What ends up in an archive, and under which name.

use std::fs;
use std::io::Cursor;

use super::*;

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["src/a.js", "src/lib/b.js", "src/lib/deep/c.txt", "other/a.js", "src/node_modules/m/index.js"] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    dir
}

fn names(inputs: &[&str], exclude: &[&str]) -> Result<Vec<String>, String> {
    let dir = tree();
    let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = collect(dir.path(), &strings(inputs), &strings(exclude));
    found.map(|files| files.into_keys().collect()).map_err(|failure| failure.to_string())
}

#[test]
fn a_single_folder_gives_its_content() {
    assert_eq!(names(&["src"], &["**/node_modules"]).unwrap(), ["a.js", "lib/b.js", "lib/deep/c.txt"]);
}

#[test]
fn folders_beside_others_keep_their_name() {
    let found = names(&["src/lib", "other"], &[]).unwrap();
    assert_eq!(found, ["lib/b.js", "lib/deep/c.txt", "other/a.js"]);
}

#[test]
fn a_pattern_keeps_paths_below_its_plain_part_and_takes_folders_whole() {
    assert_eq!(names(&["src/*.js"], &[]).unwrap(), ["a.js"]);
    assert_eq!(names(&["src/**/*.js"], &["src/node_modules/**"]).unwrap(), ["a.js", "lib/b.js"]);
    assert_eq!(names(&["src/l*"], &[]).unwrap(), ["lib/b.js", "lib/deep/c.txt"]);
}

#[test]
fn excluded_files_stay_out_however_they_are_written() {
    for exclude in ["lib", "src/lib", "lib/**", "**/lib/**"] {
        assert_eq!(names(&["src"], &[exclude, "node_modules"]).unwrap(), ["a.js"], "{exclude}");
    }
}

#[test]
fn nothing_found_and_two_files_of_one_name_are_refused() {
    assert!(names(&["none"], &[]).unwrap_err().contains("does not exist"));
    assert!(names(&["src/*.py"], &[]).unwrap_err().contains("matches no file"));
    assert!(names(&["src/a.js", "other/a.js"], &[]).unwrap_err().contains("would both be called \"a.js\""));
}

#[test]
fn the_same_content_makes_the_same_bytes() {
    let zipped = || {
        let dir = tree();
        let files = collect(dir.path(), &["src".to_owned()], &[]).unwrap();
        write_zip(&files, Cursor::new(Vec::new())).unwrap().into_inner()
    };
    let first = zipped();
    assert_eq!(first, zipped());
    assert!(first.starts_with(b"PK\x03\x04"));
}
