//! A command written as one text: split into words as a shell would, and joined again to be shown.

use crate::failure::{Failure, Outcome};

/// Splits at spaces. Single and double quotes keep a word together; a backslash takes the meaning of the quote, space
/// or backslash after it, and is itself before anything else, as in `\d+`.
pub(super) fn split(flag: &str, text: &str) -> Outcome<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                // Quotes around nothing are a word too.
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                let escapes = |next: &char| matches!(next, '"' | '\\') || quote.is_none() && matches!(next, '\'' | ' ');
                let c = rest.next_if(escapes).unwrap_or('\\');
                word.get_or_insert_default().push(c);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quote {
        return Err(Failure::new(format_args!("the quote {quote} in {flag} is not closed: {text}"))
            .hint(format_args!("close it, or write \\{quote} for the character itself")));
    }
    words.extend(word);
    Ok(words)
}

/// Words as one text that [`split`] takes apart again.
pub(super) fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(shown).collect::<Vec<_>>().join(" ")
}

fn shown(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '\'' | '"' | '\\');
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split("--args", text).unwrap()
    }

    #[test]
    fn spaces_split_and_quotes_do_not() {
        assert_eq!(words("nginx -g  'daemon off;'"), ["nginx", "-g", "daemon off;"]);
        assert_eq!(words(r#"sh -c "echo 'it is' \"here\"""#), ["sh", "-c", r#"echo 'it is' "here""#]);
        assert_eq!(words(r#"--name=a' b' """#), ["--name=a b", ""]);
        assert_eq!(words(" \n"), [""; 0]);
    }

    #[test]
    fn a_backslash_means_something_only_before_what_has_a_meaning() {
        assert_eq!(words(r"--match \d+ it\'s a\ b"), ["--match", r"\d+", "it's", "a b"]);
        assert_eq!(words(r#"'\d \"' "\d \\""#), [r#"\d \""#, r"\d \"]);
    }

    #[test]
    fn an_open_quote_is_told_with_the_flag() {
        let refused = split("--command", "it's").unwrap_err();
        assert!(refused.to_string().contains("the quote ' in --command is not closed: it's"), "{refused}");
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        let all = ["sh", "-c", "echo \"a\\b\" 'c'", ""];
        let text = joined(all.into_iter());
        assert_eq!(text, r#"sh -c "echo \"a\\b\" 'c'" """#);
        assert_eq!(words(&text), all);
    }
}
