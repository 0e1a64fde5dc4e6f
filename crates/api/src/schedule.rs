//! When something happens again and again, written as Fission reads it: five fields of cron, six with seconds first, `@daily`
//! and its like, `@every 1h30m`, and `TZ=Europe/Madrid` or `CRON_TZ=...` before any of them.

use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::go_duration::GoDuration;

/// Names of whole schedules.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Days of a week are 0 to 6.
const LAST_DAY: u32 = 6;
/// Shortest `@every`, as in Fission.
const SHORTEST: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Debug)]
pub struct Schedule {
    kind: Kind,
    zone: Option<TimeZone>,
}

#[derive(Clone, Debug)]
enum Kind {
    Cron(Box<Cron>),
    Every(Duration),
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A time zone that is not known.
    #[error("names the time zone {0:?}, which is not known here")]
    UnknownZone(String),
    /// `@every` with something that is no length of time.
    #[error("has no duration of 1s or more after @every, such as @every 1h30m")]
    Every,
    /// An `@` with an unknown name.
    #[error("{0:?} is none of @yearly, @monthly, @weekly, @daily, @hourly and @every")]
    UnknownName(String),
    /// Too few or many fields.
    #[error("has {0} fields; write minute hour day month weekday, and seconds before them if needed")]
    Fields(usize),
    /// A field that means nothing, or nothing in Fission.
    #[error("has the field {0:?}, which is no value, range, list or step of its kind")]
    Field(String),
}

impl Schedule {
    /// The first time after `time`; none if there is no other. `zone` counts where the schedule names none.
    ///
    /// `@every` counts from 1970-01-01 UTC, so that it means the same to everyone at any time.
    pub fn after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.kind {
            Kind::Cron(cron) => {
                let zoned = time.to_zoned(self.zone.as_ref().unwrap_or(zone).clone());
                cron.find_next_occurrence(&zoned, false).ok().map(|next| next.timestamp())
            }
            Kind::Every(length) => {
                let length = i128::try_from(length.as_nanos()).ok()?;
                let since = time.as_nanosecond().rem_euclid(length);
                Timestamp::from_nanosecond(time.as_nanosecond() - since + length).ok()
            }
        }
    }

    /// The first time within `length` before `time`, `time` itself included.
    pub fn within(&self, length: Duration, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = time.checked_sub(SignedDuration::try_from(length).ok()?).ok()?;
        self.after(from, zone).filter(|found| *found <= time)
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let zoned = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ="));
        let (zone, text) = match zoned {
            None => (None, text),
            Some(rest) => {
                let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let zone = TimeZone::get(name).map_err(|_| ScheduleError::UnknownZone(name.to_owned()))?;
                (Some(zone), rest.trim())
            }
        };
        let kind = match text.strip_prefix('@') {
            None => Kind::Cron(Box::new(cron(text)?)),
            Some(_) => named(text)?,
        };
        Ok(Self { kind, zone })
    }
}

fn named(text: &str) -> Result<Kind, ScheduleError> {
    if let Some(length) = text.strip_prefix("@every ") {
        let length = length.trim().parse::<GoDuration>().map_err(|_| ScheduleError::Every)?.to_std();
        return if length >= SHORTEST { Ok(Kind::Every(length)) } else { Err(ScheduleError::Every) };
    }
    let found = NAMED.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    let (_, fields) = found.ok_or_else(|| ScheduleError::UnknownName(text.to_owned()))?;
    Ok(Kind::Cron(Box::new(cron(fields)?)))
}

fn cron(text: &str) -> Result<Cron, ScheduleError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if !matches!(fields.len(), 5 | 6) {
        return Err(ScheduleError::Fields(fields.len()));
    }
    for (from_the_end, field) in fields.iter().rev().enumerate() {
        if !is_plain(field, from_the_end) {
            return Err(ScheduleError::Field((*field).to_owned()));
        }
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).sloppy_ranges(true).build();
    parser.parse(&fields.join(" ")).map_err(|_| {
        // Which one it is is found by asking about each alone.
        let wrong = (0..fields.len()).find(|one| {
            let alone: Vec<&str> = (0..fields.len()).map(|at| if at == *one { fields[at] } else { "*" }).collect();
            parser.parse(&alone.join(" ")).is_err()
        });
        ScheduleError::Field(wrong.map_or(text, |wrong| fields[wrong]).to_owned())
    })
}

/// Whether a field has nothing that only some crons read, such as `L`, `W`, `#` and a seventh day of the week.
fn is_plain(field: &str, from_the_end: usize) -> bool {
    field.split([',', '-', '/']).all(|part| {
        let names: &[&str] = match from_the_end {
            0 => &DAYS,
            1 => &MONTHS,
            _ => &[],
        };
        match part.parse::<u32>() {
            Ok(number) => from_the_end > 0 || number <= LAST_DAY,
            Err(_) => matches!(part, "*" | "?") || names.iter().any(|name| part.eq_ignore_ascii_case(name)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(schedule: &str, time: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        schedule.after(time.parse().unwrap(), &TimeZone::UTC).map_or("never".into(), |next| next.to_string())
    }

    fn refusal(schedule: &str) -> String {
        schedule.parse::<Schedule>().unwrap_err().to_string()
    }

    #[test]
    fn five_fields_are_minutes_and_six_are_seconds() {
        assert_eq!(after("30 8 * * 1-5", "2026-11-27T09:00:00Z"), "2026-11-30T08:30:00Z");
        assert_eq!(after("*/15 * * * * *", "2026-11-27T09:00:00Z"), "2026-11-27T09:00:15Z");
        assert_eq!(after("0 0 ? jan MON", "2026-11-27T09:00:00Z"), "2027-01-04T00:00:00Z");
        assert_eq!(after("5/20 * * * *", "2026-11-27T09:00:00Z"), "2026-11-27T09:05:00Z");
    }

    #[test]
    fn a_day_of_the_month_and_one_of_the_week_are_either() {
        assert_eq!(after("0 0 13 * FRI", "2026-11-01T00:00:00Z"), "2026-11-06T00:00:00Z");
    }

    #[test]
    fn names_stand_for_schedules() {
        assert_eq!(after("@daily", "2026-11-27T09:00:00Z"), "2026-11-28T00:00:00Z");
        assert_eq!(after("@hourly", "2026-11-27T09:00:00Z"), "2026-11-27T10:00:00Z");
        assert_eq!(after("@every 1h30m", "1970-01-01T02:00:00Z"), "1970-01-01T03:00:00Z");
        assert_eq!(after("@every 1h30m", "1970-01-01T03:00:00Z"), "1970-01-01T04:30:00Z");
    }

    #[test]
    fn a_time_zone_moves_it_with_the_summer() {
        assert_eq!(after("TZ=Europe/Madrid 0 8 * * *", "2026-11-27T00:00:00Z"), "2026-11-27T07:00:00Z");
        assert_eq!(after("CRON_TZ=Europe/Madrid @daily", "2026-07-01T00:00:00Z"), "2026-07-01T22:00:00Z");
    }

    #[test]
    fn what_lies_within_a_time_includes_its_end_and_not_its_beginning() {
        let hour = Duration::from_secs(3600);
        let schedule: Schedule = "0 8 * * *".parse().unwrap();
        let within = |time: &str| schedule.within(hour, time.parse().unwrap(), &TimeZone::UTC).is_some();
        assert!(!within("2026-11-27T07:59:59Z"));
        assert!(within("2026-11-27T08:00:00Z"));
        assert!(within("2026-11-27T08:59:59Z"));
        assert!(!within("2026-11-27T09:00:00Z"));
    }

    #[test]
    fn what_fission_does_not_read_is_refused_by_its_field() {
        assert!(refusal("0 0 L * *").contains("\"L\""));
        assert!(refusal("0 0 15W * *").contains("\"15W\""));
        assert!(refusal("0 0 * * FRI#2").contains("\"FRI#2\""));
        assert!(refusal("0 0 * * 7").contains("\"7\""));
        assert!(refusal("61 0 * * *").contains("\"61\""));
        assert!(refusal("whenever").contains("1 fields"));
        assert!(refusal("0 0 1 1 * 2026 *").contains("7 fields"));
        assert!(refusal("@reboot").contains("@reboot"));
        assert!(refusal("@every soon").contains("@every"));
        assert!(refusal("@every 10ms").contains("1s or more"));
        assert!(refusal("TZ=Nowhere/Land 0 0 * * *").contains("Nowhere/Land"));
    }
}
