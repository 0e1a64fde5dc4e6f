//! The capacity decision as theorems.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { per_instance: 1, most: 500, floor: 0, eager: 20, pending: 20 };

#[test]
fn a_first_request_starts_one_instance() {
    assert_eq!(to_start(Load { waiting: 1, ..Load::default() }, BOUNDS), 1);
}

#[test]
fn a_request_that_an_instance_on_its_way_can_serve_starts_none() {
    let bounds = Bounds { per_instance: 10, ..BOUNDS };
    assert_eq!(to_start(Load { waiting: 10, pending: 1, ..Load::default() }, bounds), 0);
    assert_eq!(to_start(Load { waiting: 11, pending: 1, ..Load::default() }, bounds), 1);
}

#[test]
fn three_hundred_first_requests_with_concurrency_five_start_five() {
    let bounds = Bounds { most: 5, ..BOUNDS };
    assert_eq!(to_start(Load { waiting: 300, ..Load::default() }, bounds), 5);
    assert_eq!(to_start(Load { waiting: 300, pending: 5, ..Load::default() }, bounds), 0);
}

#[test]
fn instances_serving_their_last_requests_count_against_the_limit() {
    let bounds = Bounds { most: 5, ..BOUNDS };
    assert_eq!(to_start(Load { waiting: 3, living: 5, ..Load::default() }, bounds), 0);
}

#[test]
fn the_floor_is_kept_without_requests() {
    let bounds = Bounds { floor: 2, most: 4, ..BOUNDS };
    assert_eq!(to_start(Load { open: 1, living: 1, ..Load::default() }, bounds), 1);
}

#[test]
fn while_nobody_asks_only_a_few_are_on_their_way_at_once() {
    let bounds = Bounds { floor: 10, eager: 4, ..BOUNDS };
    assert_eq!(to_start(Load::default(), bounds), 4);
    assert_eq!(to_start(Load { pending: 3, open: 2, living: 2, ..Load::default() }, bounds), 1);
    assert_eq!(to_start(Load { pending: 4, ..Load::default() }, bounds), 0);
    assert_eq!(to_start(Load { waiting: 9, pending: 4, ..Load::default() }, bounds), 5, "callers are not held back");
}

#[test]
fn the_newest_are_kept_and_only_idle_ones_are_reaped() {
    assert_eq!(to_reap(&[true, true, false, true], 1), [1, 3]);
    assert_eq!(to_reap(&[true, true], 2), Vec::<usize>::new());
    assert_eq!(to_reap(&[true, true], 0), [0, 1]);
}

fn loads() -> impl Strategy<Value = Load> {
    (0..400usize, 0..400usize, 0..50usize, 0..30usize, 0..20usize).prop_map(
        |(waiting, in_flight, open, pending, draining)| Load {
            waiting,
            in_flight,
            open,
            pending,
            living: open + draining,
        },
    )
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (1..20usize, 1..60usize, 0..5usize, 1..30usize).prop_map(|(per_instance, most, floor, pending)| Bounds {
        per_instance,
        most,
        floor: floor.min(most),
        eager: pending,
        pending,
    })
}

proptest! {
    #[test]
    fn no_bound_is_ever_exceeded(load in loads(), bounds in bounds()) {
        let start = to_start(load, bounds);
        prop_assert!(start == 0 || load.living + load.pending + start <= bounds.most);
        prop_assert!(start == 0 || load.pending + start <= bounds.pending);
    }

    #[test]
    fn no_instance_is_started_that_nobody_could_fill(load in loads(), bounds in bounds()) {
        let start = to_start(load, bounds);
        let had = load.open + load.pending;
        prop_assert!(
            start == 0 || had + start <= bounds.floor
                || (had + start - 1) * bounds.per_instance < load.waiting + load.in_flight
        );
    }

    #[test]
    fn a_waiting_request_is_never_left_without_anything_coming(load in loads(), bounds in bounds()) {
        let load = Load { in_flight: load.open * bounds.per_instance, pending: 0, ..load };
        if load.waiting > 0 && load.living < bounds.most {
            prop_assert!(to_start(load, bounds) > 0);
        }
    }

    #[test]
    fn reaping_leaves_at_least_what_is_kept_and_touches_no_busy_one(
        idle in proptest::collection::vec(any::<bool>(), 0..20), keep in 0..10usize
    ) {
        let reaped = to_reap(&idle, keep);
        prop_assert!(idle.len() - reaped.len() >= keep.min(idle.len()));
        prop_assert!(reaped.iter().all(|position| idle[*position]));
    }
}
