//! Tests of the host directories of instances.

use super::*;

#[test]
fn a_short_data_folder_is_used_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let (place, stale) = Place::make(data.path(), Path::new("/nowhere")).unwrap();
    assert_eq!(place.short, place.instances);
    assert_eq!(stale, None);
    assert!(place.first_socket(1).as_os_str().len() <= MAX_SOCKET_PATH);
}

#[test]
fn a_long_data_folder_gets_a_short_name_only_we_may_enter() {
    let (data, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = data.path().join("x".repeat(120));
    let (place, _) = Place::make(&long, short.path()).unwrap();
    assert!(place.first_socket(9_999_999_999).as_os_str().len() <= MAX_SOCKET_PATH);
    assert_eq!(place.short.canonicalize().unwrap(), place.instances.canonicalize().unwrap());
    let above = fs::metadata(place.short.parent().unwrap()).unwrap();
    assert_eq!(above.mode() & 0o777, 0o700);
    Place::make(&long, short.path()).unwrap();
}

#[test]
fn a_short_name_someone_else_prepared_is_refused() {
    let (data, short, trap) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = data.path().join("x".repeat(120));
    let (place, _) = Place::make(&long, short.path()).unwrap();
    let directory = place.short.parent().unwrap();
    fs::remove_dir_all(directory).unwrap();
    symlink(trap.path(), directory).unwrap();
    let error = Place::make(&long, short.path()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn what_a_former_process_left_is_moved_away_and_named() {
    let data = tempfile::tempdir().unwrap();
    let left = data.path().join("run/instances/7/userfunc");
    fs::create_dir_all(&left).unwrap();
    let (place, stale) = Place::make(data.path(), Path::new("/nowhere")).unwrap();
    assert_eq!(fs::read_dir(&place.instances).unwrap().count(), 0);
    let moved: Vec<_> = fs::read_dir(stale.unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(moved.len(), 1);
    assert!(moved[0].join("7/userfunc").is_dir());
}

#[test]
fn each_instance_that_runs_has_a_host_user_of_its_own() {
    assert_ne!(owner_of(1), owner_of(2));
    assert!(owner_of(u64::MAX) >= FIRST_OWNER);
}

#[test]
fn a_link_in_place_of_the_socket_is_not_taken() {
    let data = tempfile::tempdir().unwrap();
    let directories = Directories::below(&data.path().join("1"));
    directories.make(None, false).unwrap();
    let (from, to) = (directories.socket.join(SOCKET), directories.top.join(SOCKET));
    let other = std::os::unix::net::UnixListener::bind(data.path().join("other")).unwrap();
    symlink(data.path().join("other"), &from).unwrap();
    assert!(directories.take_socket(None, &to).is_err());
    drop(other);
    fs::remove_file(&from).unwrap();
    let _own = std::os::unix::net::UnixListener::bind(&from).unwrap();
    directories.take_socket(None, &to).unwrap();
    std::os::unix::net::UnixStream::connect(&to).unwrap();
}

#[test]
fn directories_made_ahead_become_an_instances() {
    let folder = tempfile::tempdir().unwrap();
    let ahead = Directories::below(&folder.path().join("ahead"));
    ahead.make(None, false).unwrap();
    let own = Directories::below(&folder.path().join("7"));
    own.make_of(&ahead, None).unwrap();
    assert!(own.userfunc.is_dir() && own.socket.is_dir() && !ahead.top.exists());
    assert!(own.make_of(&ahead, None).is_err(), "they are given once");
}
