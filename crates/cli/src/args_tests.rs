//! What the command line promises of its own tables.

use super::*;

#[test]
fn every_command_is_under_one_heading() {
    let shown: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for command in Line::command().get_subcommands() {
        let count = shown.iter().filter(|name| **name == command.get_name()).count();
        assert_eq!(count, 1, "{}", command.get_name());
    }
}

#[test]
fn the_command_tree_is_consistent() {
    command().debug_assert();
}
