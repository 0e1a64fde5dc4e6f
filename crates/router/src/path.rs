//! Percent-encoded paths: routes match the decoded form, functions get the encoded one.

use std::borrow::Cow;

/// The decoded path. `None` if it is no UTF-8.
pub(crate) fn decode(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while !rest.is_empty() {
        let (byte, length) = first(rest);
        decoded.push(byte);
        rest = &rest[length..];
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// What is left of an encoded path when the first `count` bytes of its decoded form are taken off.
pub(crate) fn after_decoded(path: &str, count: usize) -> &str {
    let mut rest = path.as_bytes();
    for _ in 0..count {
        if rest.is_empty() {
            break;
        }
        rest = &rest[first(rest).1..];
    }
    path.get(path.len() - rest.len()..).unwrap_or_default()
}

/// The first decoded byte, and how many bytes it takes. A `%` that begins no code stands for itself.
fn first(encoded: &[u8]) -> (u8, usize) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if let [b'%', high, low, ..] = encoded
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return ((high << 4 | low) as u8, 3);
    }
    (encoded[0], 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_are_decoded_and_broken_ones_stand_for_themselves() {
        assert_eq!(decode("/a%20b/%C3%A9").as_deref(), Some("/a b/é"));
        assert_eq!(decode("/100%").as_deref(), Some("/100%"));
        assert_eq!(decode("/%zz").as_deref(), Some("/%zz"));
        assert_eq!(decode("/%ff"), None);
    }

    #[test]
    fn the_rest_of_a_path_stays_encoded() {
        assert_eq!(after_decoded("/a%20b/c%2Fd", "/a b".len()), "/c%2Fd");
        assert_eq!(after_decoded("/a", 10), "");
    }

    proptest! {
        #[test]
        fn taking_everything_off_leaves_nothing(path in "[/a-z%0-9]{0,40}") {
            if let Some(decoded) = decode(&path) {
                prop_assert_eq!(after_decoded(&path, decoded.len()), "");
            }
        }
    }
}
