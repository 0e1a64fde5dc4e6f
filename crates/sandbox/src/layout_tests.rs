//! Tests of the plan of an instance's files.

use std::os::unix::fs::symlink;

use super::*;

fn targets(tree: &Tree) -> Vec<&Path> {
    tree.common.read_only.iter().chain(&tree.own).map(|bind| bind.target.as_path()).collect()
}

#[test]
fn the_hosts_programs_are_shown_and_its_users_are_not() {
    let tree = of_environment(Path::new("/x"), &[]);
    assert!(targets(&tree).contains(&Path::new("/usr")));
    for path in targets(&tree) {
        assert!(!["/etc", "/root", "/home", "/var", "/run", "/etc/passwd"].map(Path::new).contains(&path), "{path:?}");
    }
}

#[test]
fn a_path_below_one_that_is_shown_is_not_shown_twice() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let wanted = [below.clone(), folder.path().to_owned(), PathBuf::from("/usr/bin")];
    let tree = of_environment(Path::new("/x"), &wanted);
    assert!(targets(&tree).contains(&folder.path()));
    assert!(!targets(&tree).contains(&below.as_path()));
    assert!(!targets(&tree).contains(&Path::new("/usr/bin")), "it would be made on the host's own /usr");
}

#[test]
fn a_link_shows_what_it_leads_to_under_both_names() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (real, link) = (root.join("real"), root.join("link"));
    std::fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let tree = of_environment(Path::new("/x"), std::slice::from_ref(&link));
    let all = tree.common.read_only.iter().chain(&tree.own);
    let shown: Vec<_> = all.filter(|bind| bind.source == real).map(|bind| bind.target.clone()).collect();
    assert_eq!(shown, [link, real]);
}

#[test]
fn missing_relative_and_climbing_paths_show_nothing() {
    let plain = of_environment(Path::new("/x"), &[]);
    let wanted = ["/no/such/path", "relative", "/usr/../etc", "/"].map(PathBuf::from);
    assert_eq!(of_environment(Path::new("/x"), &wanted), plain);
}

#[test]
fn code_secrets_and_configs_are_read_only_and_the_socket_is_not() {
    let directories = Directories::below(Path::new("/d/1"));
    let tree = of_instance(&of_environment(Path::new("/x"), &[]), &directories, 1000, (1, 1), true);
    for target in [USERFUNC, SECRETS, CONFIGS] {
        assert!(targets(&tree).contains(&Path::new(target)), "{target}");
    }
    assert_eq!(tree.writable.len(), 1);
    assert_eq!(tree.writable[0].target, Path::new(RUN));
}

#[test]
fn a_hosts_file_below_a_private_memory_is_not_part_of_what_instances_share() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let tree = of_environment(Path::new("/x"), &[folder.path().to_owned()]);
    assert!(tree.own.iter().any(|bind| bind.target == folder.path()));
    assert!(!tree.common.read_only.iter().any(|bind| bind.target == folder.path()));
}
