//! Escapes: functions that try to get out of their instance, each a test named for what it may not do. One platform for all
//! that run at the same time, of the user who runs the tests and of an ordinary one; after each attempt the platform
//! and a neighbour function must still answer. What cannot be tried on a machine says SKIPPED and why.
//!
//! Start reading in `ground`; `attack.py` is the function that tries.

use std::sync::LazyLock;

mod files;
mod floods;
mod ground;
mod kernel;
mod network;
mod processes;
#[allow(dead_code)] // shared with the tests of the whole, which use the rest
#[path = "../whole/world.rs"]
mod world;

/// One for all tests: they share a platform, and with it the connections that its client keeps, which would end with the
/// runtime of the test that made them.
static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("a runtime for the tests"));

/// A test for each attempt, on a platform of the user it names.
macro_rules! attempts {
    ($who:ident) => {
        attempts!($who {
            files::files_of_the_host_are_not_there,
            files::code_and_secrets_of_others_are_nowhere,
            files::the_runtime_and_its_own_code_cannot_be_written,
            files::devices_cannot_be_made_or_opened,
            files::set_user_id_programs_give_nothing,
            files::links_lead_nowhere,
            files::archives_with_links_or_climbing_names_are_refused,
            files::a_crash_leaves_no_core_dump,
            kernel::mounts_are_refused,
            kernel::namespaces_are_refused,
            kernel::keys_are_refused,
            kernel::programs_in_the_kernel_are_refused,
            kernel::io_uring_is_refused,
            kernel::the_machine_cannot_be_changed,
            kernel::the_clock_cannot_be_set,
            kernel::words_cannot_be_put_into_a_terminal,
            processes::only_its_own_processes_are_seen,
            processes::other_processes_cannot_be_looked_into,
            processes::signals_do_not_reach_the_platform_or_a_neighbour,
            processes::it_cannot_make_itself_last_to_die,
            network::raw_netlink_and_packet_sockets_are_refused,
            network::abstract_sockets_of_the_host_are_out_of_reach,
            network::the_platforms_doors_stay_shut,
            network::metadata_is_out_of_reach,
            network::without_a_network_nothing_is_reached,
            network::with_loopback_only_itself_is_reached,
            network::of_an_allow_list_only_what_is_listed_is_reached,
            network::a_changed_network_counts_for_the_next_request,
            network::a_network_nobody_knows_is_refused_with_its_place,
            floods::a_fork_bomb_stops_at_its_limit,
            floods::a_thread_bomb_stops_at_its_limit,
            floods::a_descriptor_bomb_stops_at_its_limit,
            floods::a_zombie_bomb_stops_at_its_limit,
            floods::a_memory_bomb_is_killed_and_the_limit_is_named,
            floods::a_full_disk_is_its_own,
            floods::a_flood_of_reads_leaves_the_disk_to_others,
            floods::a_flood_of_files_is_its_own,
            floods::a_flood_of_lines_stops_no_one,
        });
    };
    ($who:ident { $($room:ident :: $name:ident),* $(,)? }) => {
        $(
            #[test]
            fn $name() {
                use crate::ground::{Who, attempt};
                crate::RUNTIME.block_on(attempt(Who::$who, |ground| Box::pin(crate::$room::$name(ground))));
            }
        )*
    };
}

/// Tried on a platform of the user who runs the tests. As root this is all there is.
mod functions {
    attempts!(Tester);
}

/// The same on a platform of an ordinary user, where root runs the tests and can become one.
mod functions_of_an_ordinary_user {
    attempts!(Nobody);
}
