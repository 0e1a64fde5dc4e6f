//! Durations as Go writes them: `300ms`, `1h30m`, `-1s`.

use std::time::Duration;

/// A duration with a sign, since "zero or less" means "no limit" to some flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoDuration {
    /// The length.
    pub(crate) length: Duration,
    /// Whether it is below zero.
    pub(crate) negative: bool,
}

impl GoDuration {
    /// The length, when it is above zero.
    pub(crate) fn positive(self) -> Option<Duration> {
        (!self.negative && !self.length.is_zero()).then_some(self.length)
    }
}

impl std::str::FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration; write it as 30s, 5m or 1h30m");
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self { length: Duration::ZERO, negative: false });
        }
        let mut seconds = 0.0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let amount: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            seconds += amount * unit_seconds(&rest[..unit]).ok_or_else(wrong)?;
            rest = &rest[unit..];
        }
        let length = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        Ok(Self { length, negative })
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        let seconds = |text: &str| text.parse::<GoDuration>().unwrap().length.as_secs_f64();
        assert_eq!(seconds("90s"), 90.0);
        assert_eq!(seconds("1h30m"), 5400.0);
        assert_eq!(seconds("1.5m"), 90.0);
        assert_eq!(seconds("250ms"), 0.25);
        assert_eq!("-1s".parse::<GoDuration>().unwrap().positive(), None);
        assert_eq!("0".parse::<GoDuration>().unwrap().positive(), None);
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "5", "s", "5x", "1h3", "--1s", "..s", "1e400s"] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }
}
