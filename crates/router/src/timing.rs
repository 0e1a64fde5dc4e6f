//! Where the milliseconds of a request went, told in `Server-Timing` on every response.

use std::time::{Duration, Instant};

use http::HeaderValue;

/// Durations of the parts of one request; a part that was not reached is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) start: Instant,
    /// Finding the route.
    pub(crate) route: Duration,
    /// Taking a slot of a running instance without waiting.
    pub(crate) admit: Duration,
    /// Waiting for an instance or a slot, specialization excluded.
    pub(crate) wait: Duration,
    /// Loading the function into an instance.
    pub(crate) specialize: Duration,
    /// From sending the request to the response headers.
    pub(crate) function: Duration,
}

impl Timing {
    pub(crate) fn start() -> Self {
        let zero = Duration::ZERO;
        Self { start: Instant::now(), route: zero, admit: zero, wait: zero, specialize: zero, function: zero }
    }

    /// The request is sent now; what is not accounted for so far was admission.
    pub(crate) fn sends(&mut self) -> Instant {
        let sent = Instant::now();
        let so_far = self.route + self.wait + self.specialize;
        self.admit = sent.duration_since(self.start).saturating_sub(so_far);
        sent
    }

    /// `route;dur=0.004, admit;dur=0.001, ...`: milliseconds with the precision of a microsecond.
    pub(crate) fn header(&self) -> HeaderValue {
        let parts: [(&str, Duration); 5] = [
            ("route;dur=", self.route),
            (", admit;dur=", self.admit),
            (", wait;dur=", self.wait),
            (", specialize;dur=", self.specialize),
            (", function;dur=", self.function),
        ];
        let mut text = Vec::with_capacity(112);
        for (name, duration) in parts {
            text.extend_from_slice(name.as_bytes());
            push_millis(&mut text, duration);
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
    }
}

fn push_millis(text: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    push_number(text, micros / 1000);
    let fraction = (micros % 1000) as u16;
    let digit = |value: u16| b'0' + (value % 10) as u8;
    text.extend_from_slice(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
}

fn push_number(text: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        let mut timing = Timing::start();
        timing.route = Duration::from_nanos(4_900);
        timing.admit = Duration::from_micros(1_050);
        timing.wait = Duration::from_millis(12_345);
        assert_eq!(
            timing.header(),
            "route;dur=0.004, admit;dur=1.050, wait;dur=12345.000, specialize;dur=0.000, function;dur=0.000"
        );
    }
}
