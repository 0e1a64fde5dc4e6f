//! What a function asks for at a moment.

use super::*;

fn window(name: &str, start: &str, duration: &str, target: i64) -> ProvisionedWindow {
    ProvisionedWindow { name: name.into(), start: start.into(), duration: duration.into(), target }
}

fn block() -> ProvisionedConcurrency {
    let windows = vec![window("day", "0 8 * * *", "10h", 5), window("noon", "0 12 * * *", "1h", 8)];
    ProvisionedConcurrency { target: 2, windows }
}

fn at(block: &ProvisionedConcurrency, time: &str) -> (usize, String) {
    let now = time.parse::<Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let asked = Asked::at(block, &now);
    (asked.instances, asked.edge.map(|edge| edge.to_string()).unwrap_or_default())
}

#[test]
fn the_most_of_the_open_windows_counts_and_outside_them_the_base() {
    let block = block();
    assert_eq!(at(&block, "2026-11-27T07:59:59Z"), (2, "2026-11-27T08:00:00Z".into()));
    assert_eq!(at(&block, "2026-11-27T08:00:00Z"), (5, "2026-11-27T12:00:00Z".into()));
    assert_eq!(at(&block, "2026-11-27T12:30:00Z"), (8, "2026-11-27T13:00:00Z".into()));
    assert_eq!(at(&block, "2026-11-27T13:00:00Z"), (5, "2026-11-27T18:00:00Z".into()));
    assert_eq!(at(&block, "2026-11-27T18:00:00Z"), (2, "2026-11-28T08:00:00Z".into()));
}

#[test]
fn a_window_may_ask_for_nothing() {
    let night = ProvisionedConcurrency { target: 3, windows: vec![window("night", "0 22 * * *", "8h", 0)] };
    assert_eq!(at(&night, "2026-11-27T23:00:00Z").0, 0);
    assert_eq!(at(&night, "2026-11-28T05:59:00Z").0, 0);
    assert_eq!(at(&night, "2026-11-28T06:00:00Z").0, 3);
}

#[test]
fn a_window_that_cannot_be_read_is_ignored_and_told() {
    let windows = vec![window("odd", "0 8 * * 9", "1h", 9), window("endless", "@daily", "1d", 9)];
    let now = Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let asked = Asked::at(&ProvisionedConcurrency { target: 1, windows }, &now);
    assert_eq!((asked.instances, asked.edge), (1, None));
    assert!(asked.ignored[0].contains("window odd") && asked.ignored[0].contains("\"9\""), "{:?}", asked.ignored);
    assert!(
        asked.ignored[1].contains("window endless") && asked.ignored[1].contains("duration"),
        "{:?}",
        asked.ignored
    );
}

#[test]
fn the_reasons_are_the_contracts() {
    let wanted =
        Wanted { asked: 3, target: 2, clamped: Some("3 asked for, over the limit x = 2".into()), ..Wanted::default() };
    let warming = wanted.verdict(1, Some("the code was refused".into()));
    assert_eq!((warming.0, warming.1), (false, "ProvisionedWarming"));
    assert!(warming.2.contains("the code was refused") && warming.2.contains("over the limit"), "{}", warming.2);
    assert_eq!(wanted.verdict(2, None), (true, "ProvisionedClamped", "3 asked for, over the limit x = 2".into()));
    let exactly = Wanted { asked: 2, target: 2, ..Wanted::default() };
    assert_eq!(exactly.verdict(2, None).1, "ProvisionedSatisfied");
    let disabled = Wanted { asked: 2, disabled: true, ..Wanted::default() };
    assert_eq!((disabled.verdict(0, None).0, disabled.verdict(0, None).1), (false, "ProvisionedDisabled"));
}
