//! A small scanner for Rust: enough to tell code from comments and literals, and to find where braces close.

/// The text with every comment and the inside of every literal replaced by spaces. Lines and offsets stay the same.
pub(super) fn code_of(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < code.len() {
        let end = literal_end(text.as_bytes(), at);
        match end {
            Some(end) => {
                for byte in &mut code[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                at = end;
            }
            None => at += 1,
        }
    }
    // Only whole comments and literals became spaces, so the rest is still the text it was.
    String::from_utf8_lossy(&code).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `None` when none begins there.
fn literal_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let starts_word = at == 0 || !is_word(text[at - 1]);
    if rest.starts_with(b"//") {
        return Some(find(text, at, b"\n").unwrap_or(text.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(block_comment_end(text, at));
    }
    if rest[0] == b'"' {
        return Some(quoted_end(text, at + 1));
    }
    if starts_word && matches!(rest[0], b'r' | b'b' | b'c') {
        let prefix = rest.iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
        let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
        let raw = rest[..prefix].contains(&b'r');
        if prefix <= 2 && rest.get(prefix + hashes) == Some(&b'"') && (raw || hashes == 0) {
            let open = at + prefix + hashes + 1;
            return Some(if raw { raw_end(text, open, hashes) } else { quoted_end(text, open) });
        }
    }
    if rest[0] == b'\'' { char_end(text, at) } else { None }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn find(text: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    text[from..].windows(needle.len()).position(|window| window == needle).map(|offset| from + offset)
}

fn block_comment_end(text: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    let mut here = at;
    while here < text.len() {
        if text[here..].starts_with(b"/*") {
            depth += 1;
            here += 2;
        } else if text[here..].starts_with(b"*/") {
            depth -= 1;
            here += 2;
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    text.len()
}

fn quoted_end(text: &[u8], mut here: usize) -> usize {
    while here < text.len() {
        match text[here] {
            b'\\' => here += 2,
            b'"' => return here + 1,
            _ => here += 1,
        }
    }
    text.len()
}

fn raw_end(text: &[u8], open: usize, hashes: usize) -> usize {
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    find(text, open, &close).map_or(text.len(), |end| end + close.len())
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at + 1) == Some(&b'\\') {
        // What is escaped may be a quote itself.
        return find(text, at + 3, b"'").map(|end| end + 1);
    }
    // One character of any length in bytes, then the closing quote.
    let first = *text.get(at + 1)?;
    let width = match first {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    (text.get(at + 1 + width) == Some(&b'\'')).then_some(at + width + 2)
}

/// The offset just behind the brace that closes the one at `open`; the end of the text when none does.
pub(super) fn close_of(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Offsets at which `word` stands in `code` as a word of its own.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).is_none_or(|before| !is_word(code.as_bytes()[before]));
        let after = code.as_bytes().get(at + word.len()).is_none_or(|byte| !is_word(*byte));
        before && after
    })
}

/// Functions of the code: name, offset of `fn`, offset behind the closing brace. Declarations without a body are left out.
pub(super) fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let rest = code[at + 2..].trim_start();
        let name = &rest[..rest.bytes().take_while(|byte| is_word(*byte)).count()];
        if name.is_empty() {
            continue;
        }
        if let Some(open) = body_of(code, at) {
            found.push((name, at, close_of(code, open)));
        }
    }
    found
}

/// Offset of the brace that opens the body of the item at `at`; `None` when it ends with a semicolon first.
pub(super) fn body_of(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_spaces_and_nothing_moves() {
        let text = "let a = \"{\\\"}\"; // }\nlet b = r#\"\"{\"#; /* { /* } */ */ let c = '{'; let d = b'\\'';\nfn f<'a>(x: &'a str) {}";
        let code = code_of(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.matches('{').count(), 1);
        assert!(code.contains("fn f<'a>(x: &'a str) {}"), "{code}");
    }

    #[test]
    fn characters_of_any_width_are_literals() {
        let code = code_of("let a = ['é', '\u{1F600}', '\\u{7b}', '\\n'];");
        assert!(!code.contains('\''), "{code}");
        assert!(code.ends_with("];"), "{code}");
    }

    #[test]
    fn words_are_whole_words() {
        assert_eq!(words("unsafe_code unsafe unsafe{", "unsafe").count(), 2);
    }

    #[test]
    fn functions_end_where_their_braces_close() {
        let code = "fn a() -> [u8; 2] { if x { y } }\nfn b();\ntype F = fn(u8);\nfn c<T>(x: T) where T: Copy {\n}\n";
        let found: Vec<(&str, &str)> =
            functions(code).into_iter().map(|(name, at, end)| (name, &code[at..end])).collect();
        assert_eq!(found, [("a", "fn a() -> [u8; 2] { if x { y } }"), ("c", "fn c<T>(x: T) where T: Copy {\n}")]);
    }
}
