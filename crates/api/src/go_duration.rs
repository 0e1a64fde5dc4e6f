//! Durations as Go writes them: `90s`, `1h30m`, `1.5ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A signed length of time, in nanoseconds, as Go's `time.Duration` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration {
    /// Nanoseconds; negative for a duration written with a minus sign.
    pub nanos: i64,
}

/// A text that is no Go duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoDurationError {
    /// Nothing, or a sign alone.
    #[error("is empty; write a duration such as 90s or 1h30m")]
    Empty,
    /// A part that does not begin with a number.
    #[error("has no number before {0:?}; write a duration such as 90s or 1h30m")]
    NoNumber(String),
    /// A number without a unit.
    #[error("has no unit after {0}; units are ns, us, ms, s, m and h")]
    NoUnit(String),
    /// A unit Go does not know. It has no days.
    #[error("has the unknown unit {0:?}; units are ns, us, ms, s, m and h")]
    UnknownUnit(String),
    /// More than about 292 years.
    #[error("is too long; the longest duration is about 292 years")]
    TooLong,
}

/// Units, longest name first where one begins another, with their nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// The duration for use with timers; a negative one is zero.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos).unwrap_or(0))
    }

    /// A duration of whole seconds, capped at the longest one.
    pub fn from_secs(seconds: i64) -> Self {
        Self { nanos: seconds.saturating_mul(1_000_000_000) }
    }
}

impl FromStr for GoDuration {
    type Err = GoDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(GoDurationError::Empty);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (nanos, after) = one_part(rest)?;
            total = total.checked_add(nanos).ok_or(GoDurationError::TooLong)?;
            rest = after;
        }
        // The most negative value has no positive twin, as in Go.
        if negative && total == i64::MIN.unsigned_abs() {
            return Ok(Self { nanos: i64::MIN });
        }
        let nanos = i64::try_from(total).map_err(|_| GoDurationError::TooLong)?;
        Ok(Self { nanos: if negative { -nanos } else { nanos } })
    }
}

/// Nanoseconds of the number and unit `text` begins with, and what follows them.
fn one_part(text: &str) -> Result<(u64, &str), GoDurationError> {
    let whole = digits(text);
    let after = &text[whole.len()..];
    let fraction = after.strip_prefix('.').map(digits);
    let number_end = whole.len() + fraction.map_or(0, |fraction| fraction.len() + 1);
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return Err(GoDurationError::NoNumber(text.to_owned()));
    }
    let rest = &text[number_end..];
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let unit = &rest[..unit_end];
    if unit.is_empty() {
        return Err(GoDurationError::NoUnit(text[..number_end].to_owned()));
    }
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let scale = scale.ok_or_else(|| GoDurationError::UnknownUnit(unit.to_owned()))?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| GoDurationError::TooLong)? };
    let nanos = whole.checked_mul(scale).ok_or(GoDurationError::TooLong)?;
    let nanos = nanos.checked_add(fraction_nanos(fraction.unwrap_or(""), scale)).ok_or(GoDurationError::TooLong)?;
    Ok((nanos, &rest[unit_end..]))
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// Nanoseconds of `0.<digits>` units, cut off below one nanosecond.
fn fraction_nanos(digits: &str, scale: u64) -> u64 {
    // Digits beyond the 18th are worth less than a nanosecond of any unit.
    let digits = &digits[..digits.len().min(18)];
    let Ok(value) = digits.parse::<u128>() else { return 0 };
    let divisor = 10u128.pow(u32::try_from(digits.len()).unwrap_or(0));
    u64::try_from(value * u128::from(scale) / divisor).unwrap_or(0)
}

impl fmt::Display for GoDuration {
    /// As Go prints it: `1h30m0s`, `1.5s`, `20ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos.unsigned_abs();
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}\u{b5}s", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{seconds}s"),
                    (0, minutes) => write!(f, "{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

/// `value / unit` with as many decimals as it takes and no more.
fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "go_duration_tests.rs"]
mod tests;
