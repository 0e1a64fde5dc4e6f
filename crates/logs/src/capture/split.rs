//! Bytes to lines. Pure.

use super::Printed;

/// Marks the request id at the start of a line, on both sides.
const MARK: u8 = 0x1e;
/// Longest request id believed; ours have 36 characters, clients may send their own.
const REQUEST_ID_BYTES: usize = 200;

/// Cuts what is pushed at line ends, and lines at a length.
#[derive(Debug)]
pub(super) struct Splitter {
    partial: Vec<u8>,
    /// Bytes after which a line is continued in a new one.
    most: usize,
    /// Set while the rest of a line that was cut comes in; the request it belongs to.
    continues: Option<Option<String>>,
}

impl Splitter {
    pub(super) fn new(most: usize) -> Self {
        const LONGEST_CHARACTER: usize = 4;
        Self { partial: Vec::new(), most: most.max(LONGEST_CHARACTER), continues: None }
    }

    pub(super) fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The lines that are complete with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Printed> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.partial.extend_from_slice(text);
            while self.partial.len() > self.most {
                let rest = self.partial.split_off(character_start(&self.partial, self.most));
                let cut = std::mem::replace(&mut self.partial, rest);
                lines.push(self.cut(&cut));
            }
            if ends {
                let line = std::mem::take(&mut self.partial);
                lines.push(self.end(line.strip_suffix(b"\r").unwrap_or(&line)));
            }
        }
        lines
    }

    /// What is there of a line that has not ended.
    pub(super) fn take_partial(&mut self) -> Option<Printed> {
        let line = std::mem::take(&mut self.partial);
        (!line.is_empty()).then(|| self.end(&line))
    }

    /// A line that goes on in the next one.
    fn cut(&mut self, bytes: &[u8]) -> Printed {
        let line = self.end(bytes);
        self.continues = Some(line.request_id.clone());
        line
    }

    fn end(&mut self, bytes: &[u8]) -> Printed {
        let (request_id, text) = match self.continues.take() {
            Some(request_id) => (request_id, bytes),
            None => request_id(bytes),
        };
        Printed { request_id, text: String::from_utf8_lossy(text).into_owned() }
    }
}

/// The request a line says it belongs to, and the rest of it.
fn request_id(line: &[u8]) -> (Option<String>, &[u8]) {
    let Some(rest) = line.strip_prefix(&[MARK]) else { return (None, line) };
    let Some(end) = rest.iter().take(REQUEST_ID_BYTES + 1).position(|byte| *byte == MARK) else { return (None, line) };
    match std::str::from_utf8(&rest[..end]) {
        Ok(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()) => {
            (Some(id.to_owned()), &rest[end + 1..])
        }
        _ => (None, line),
    }
}

/// The start of the character that byte `at` belongs to, or `at` itself if that is not text.
fn character_start(bytes: &[u8], at: usize) -> usize {
    let continues = |byte: u8| byte & 0xc0 == 0x80;
    (at.saturating_sub(3)..=at).rev().find(|start| !continues(bytes[*start])).filter(|start| *start > 0).unwrap_or(at)
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
