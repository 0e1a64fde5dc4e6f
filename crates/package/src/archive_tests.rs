//! What an archive may and may not do.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// One entry as raw as the format allows; no library refuses to write it.
struct Raw<'a> {
    name: &'a [u8],
    mode: u32,
    content: &'a [u8],
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> Raw<'a> {
    Raw { name: name.as_bytes(), mode: 0o100_644, content }
}

fn raw_zip(entries: &[Raw<'_>]) -> File {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let (crc, size) = (crc32(entry.content).to_le_bytes(), (entry.content.len() as u32).to_le_bytes());
        let name_length = (entry.name.len() as u16).to_le_bytes();
        let offset = (body.len() as u32).to_le_bytes();
        let utf8_stored_1980: &[u8] = &[20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        for part in
            [b"PK\x03\x04", utf8_stored_1980, &crc, &size, &size, &name_length, &[0, 0], entry.name, entry.content]
        {
            body.extend_from_slice(part);
        }
        let attributes = (entry.mode << 16).to_le_bytes();
        let parts: [&[u8]; 13] = [
            b"PK\x01\x02",
            &[20, 3],
            utf8_stored_1980,
            &crc,
            &size,
            &size,
            &name_length,
            &[0, 0],
            &[0, 0],
            &[0; 4],
            &attributes,
            &offset,
            entry.name,
        ];
        parts.iter().for_each(|part| directory.extend_from_slice(part));
    }
    let (count, size) = ((entries.len() as u16).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    let start = (body.len() as u32).to_le_bytes();
    let end: [&[u8]; 7] = [b"PK\x05\x06", &[0; 4], &count, &count, &size, &start, &[0, 0]];
    let mut archive = tempfile::tempfile().unwrap();
    archive.write_all(&body).unwrap();
    archive.write_all(&directory).unwrap();
    end.iter().for_each(|part| archive.write_all(part).unwrap());
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn deflated(entries: &[(&str, u32, &[u8])]) -> File {
    let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
    for (name, mode, content) in entries {
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(*mode);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap()
}

fn unpacked(mut archive: File, limits: &UnpackLimits) -> Result<tempfile::TempDir, ArchiveError> {
    let target = tempfile::tempdir().unwrap();
    unpack(&mut archive, target.path(), limits).map(|()| target)
}

fn refusal(archive: File) -> String {
    unpacked(archive, &UnpackLimits::default()).expect_err("must be refused").to_string()
}

#[test]
fn files_and_folders_come_out_as_they_went_in() {
    let archive =
        deflated(&[("index.js", 0o644, b"module"), ("bin/run", 0o755, b"#!/bin/sh"), ("./lib/a/b.js", 0o600, b"b")]);
    let target = unpacked(archive, &UnpackLimits::default()).unwrap();
    let read = |path: &str| fs::read(target.path().join(path)).unwrap();
    let mode = |path: &str| fs::metadata(target.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((read("index.js"), mode("index.js")), (b"module".to_vec(), 0o644));
    assert_eq!((read("bin/run"), mode("bin/run")), (b"#!/bin/sh".to_vec(), 0o755));
    assert_eq!((read("lib/a/b.js"), mode("lib/a/b.js")), (b"b".to_vec(), 0o644));
}

#[test]
fn set_user_id_and_write_for_all_are_not_taken_over() {
    let entry = Raw { name: b"program", mode: 0o106_777, content: b"x" };
    let target = unpacked(raw_zip(&[entry]), &UnpackLimits::default()).unwrap();
    assert_eq!(fs::metadata(target.path().join("program")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for (name, why) in [
        ("/etc/passwd", "absolute"),
        ("../x", ".."),
        ("a/../../x", ".."),
        ("a\\..\\x", "backslash"),
        ("C:x", "drive letter"),
        ("a//b", "empty part"),
        ("a\0b", "NUL"),
        ("", "empty"),
    ] {
        let message = refusal(raw_zip(&[file(name, b"x")]));
        assert!(message.contains(why), "{name:?}: {message}");
    }
}

#[test]
fn links_and_devices_are_refused() {
    for (mode, why) in [(0o120_777, "symbolic link"), (0o020_666, "device"), (0o010_644, "pipe"), (0o140_755, "socket")]
    {
        let message = refusal(raw_zip(&[Raw { name: b"x", mode, content: b"/etc/passwd" }]));
        assert!(message.contains(why), "{mode:o}: {message}");
    }
}

#[test]
fn two_entries_for_one_file_are_refused() {
    assert!(refusal(raw_zip(&[file("a", b"1"), file("a", b"2")])).contains("same name"));
    assert!(refusal(raw_zip(&[file("a", b"1"), file("./a", b"2")])).contains("same name"));
    assert!(refusal(raw_zip(&[file("a", b"1"), file("a/b", b"2")])).contains("folders as a file"));
    assert!(refusal(raw_zip(&[file("a/b", b"1"), file("a", b"2")])).contains("both a file and a folder"));
}

#[test]
fn a_bomb_is_stopped_and_the_message_names_the_limit() {
    let zeros = vec![0; 40 << 20];
    let message = refusal(deflated(&[("zeros", 0o644, &zeros)]));
    assert!(message.contains("limit ratio = 200"), "{message}");
}

#[test]
fn every_limit_is_kept_and_named() {
    let limits =
        UnpackLimits { entries: 3, total_bytes: 100, file_bytes: 60, path_bytes: 40, depth: 3, ..Default::default() };
    let long = "n".repeat(41);
    for (entries, limit) in [
        (vec![file("a", b""), file("b", b""), file("c", b""), file("d", b"")], "entries"),
        (vec![file("a/b/c", b""), file("d/e/f", b"")], "entries"),
        (vec![file("a", &[0; 61])], "file_bytes"),
        (vec![file("a", &[0; 60]), file("b", &[0; 60])], "total_bytes"),
        (vec![file(&long, b"")], "path_bytes"),
        (vec![file("a/b/c/d", b"")], "depth"),
    ] {
        let message = unpacked(raw_zip(&entries), &limits).expect_err(limit).to_string();
        assert!(message.contains(&format!("limit {limit} = ")), "{message}");
    }
}

#[test]
fn too_many_entries_are_refused_before_the_directory_is_read() {
    let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| file(name, b"")).collect();
    let limits = UnpackLimits { entries: 10, ..Default::default() };
    let message = unpacked(raw_zip(&entries), &limits).expect_err("must be refused").to_string();
    assert!(message.contains("some 1000 entries"), "{message}");
}

#[test]
fn damage_is_told_and_not_unpacked() {
    let mut archive = deflated(&[("a", 0o644, &[7; 5000])]);
    archive.seek(std::io::SeekFrom::Start(40)).unwrap();
    archive.write_all(&[0xff; 8]).unwrap();
    assert!(refusal(archive).contains("cannot be read"));
    let mut cut = tempfile::tempfile().unwrap();
    cut.write_all(b"PK\x03\x04 and no more").unwrap();
    assert!(refusal(cut).contains("cannot be read"));
}

#[test]
fn only_zip_archives_look_like_one() {
    assert!(is_zip(b"PK\x03\x04..."));
    assert!(is_zip(b"PK\x05\x06"));
    assert!(!is_zip(b"PK"));
    assert!(!is_zip(b"module.exports"));
}

fn everything_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_archive_writes_outside_its_folder(
        names in prop::collection::vec(r"(\.\.|\.|/|\\|C:|a|b|victim|\x00){0,6}", 1..5),
        mode in prop::sample::select(vec![0o100_644u32, 0o040_755, 0o120_777, 0, 0o100_000]),
    ) {
        let around = tempfile::tempdir().unwrap();
        fs::write(around.path().join("victim"), "untouched").unwrap();
        let target = around.path().join("target");
        fs::create_dir(&target).unwrap();
        let entries: Vec<_> =
            names.iter().map(|name| Raw { name: name.as_bytes(), mode, content: b"evil" }).collect();
        let _ = unpack(&mut raw_zip(&entries), &target, &UnpackLimits::default());
        prop_assert_eq!(everything_in(around.path()), ["target", "victim"]);
        prop_assert_eq!(fs::read(around.path().join("victim")).unwrap(), b"untouched");
    }

    #[test]
    fn what_was_packed_is_unpacked(
        files in prop::collection::btree_map("[a-z]{1,8}(\\.[a-z]{1,3})?", prop::collection::vec(any::<u8>(), 0..300), 0..8),
    ) {
        let files: BTreeMap<String, Vec<u8>> = files.into_iter().map(|(name, bytes)| (format!("f/{name}"), bytes)).collect();
        let entries: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), 0o644, bytes.as_slice())).collect();
        let target = unpacked(deflated(&entries), &UnpackLimits::default()).unwrap();
        for (name, bytes) in &files {
            prop_assert_eq!(&fs::read(target.path().join(name)).unwrap(), bytes);
        }
        let count = if files.is_empty() { 0 } else { everything_in(&target.path().join("f")).len() };
        prop_assert_eq!(count, files.len());
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut archive = tempfile::tempfile().unwrap();
        archive.write_all(b"PK\x05\x06").unwrap();
        archive.write_all(&bytes).unwrap();
        let _ = unpacked(archive, &UnpackLimits::default());
    }
}
