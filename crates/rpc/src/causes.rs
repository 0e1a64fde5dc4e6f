//! An error with everything below it, in one line: the reason is usually said by the innermost.

use std::error::Error;

/// The error's text and those of its causes, `: ` between them. What a text already says is not said again.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let next = cause.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        below = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn every_cause_is_told_once() {
        let error = Layer("not sent", Some(Box::new(Layer("refused", Some(Box::new(Layer("refused", None)))))));
        assert_eq!(causes(&error), "not sent: refused");
    }
}
