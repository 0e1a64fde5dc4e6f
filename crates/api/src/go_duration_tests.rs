//! Go durations: what Go reads we read, what Go refuses we refuse.

use proptest::prelude::*;

use super::*;

fn nanos(text: &str) -> Option<i64> {
    text.parse::<GoDuration>().ok().map(|duration| duration.nanos)
}

#[test]
fn durations_go_accepts_are_read_to_the_nanosecond() {
    let cases = [
        ("0", 0),
        ("90s", 90_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5ms", 500_000),
        ("1.s", 1_000_000_000),
        ("-2m", -120_000_000_000),
        ("+3ns", 3),
        ("4\u{b5}s5us", 9_000),
        ("0.000000000000000000001h", 0),
    ];
    for (text, expected) in cases {
        assert_eq!(nanos(text), Some(expected), "{text}");
    }
}

#[test]
fn texts_go_refuses_are_refused_with_what_to_write() {
    for text in ["", "-", "90", "1d", "s", ".s", "1h ", "3000000h", "1h-30m", "\u{1F600}", "9223372036854775808ns"] {
        assert!(text.parse::<GoDuration>().is_err(), "{text}");
    }
    let error = "1d".parse::<GoDuration>().expect_err("days are no Go unit").to_string();
    assert_eq!(error, "has the unknown unit \"d\"; units are ns, us, ms, s, m and h");
}

#[test]
fn durations_print_as_go_prints_them() {
    let cases = [
        ("90m", "1h30m0s"),
        ("1500ms", "1.5s"),
        ("20ms", "20ms"),
        ("0", "0s"),
        ("-61s", "-1m1s"),
        ("1500ns", "1.5\u{b5}s"),
    ];
    for (text, printed) in cases {
        assert_eq!(text.parse::<GoDuration>().expect(text).to_string(), printed);
    }
}

proptest! {
    #[test]
    fn every_duration_reads_back_what_it_prints(nanos: i64) {
        let duration = GoDuration { nanos };
        prop_assert_eq!(duration.to_string().parse::<GoDuration>(), Ok(duration));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = text.parse::<GoDuration>();
    }
}
