//! Lines, whatever the pieces they come in.

use proptest::prelude::*;

use super::*;

fn texts(lines: Vec<Printed>) -> Vec<String> {
    lines.into_iter().map(|line| line.text).collect()
}

fn all(splitter: &mut Splitter, pieces: &[&[u8]]) -> Vec<Printed> {
    let mut lines: Vec<_> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
    lines.extend(splitter.take_partial());
    lines
}

#[test]
fn lines_are_put_together_from_pieces() {
    let lines = all(&mut Splitter::new(100), &[b"one\ntw", b"o\r\n\nth", b"ree"]);
    assert_eq!(texts(lines), ["one", "two", "", "three"]);
}

#[test]
fn a_request_id_is_taken_off_the_line_it_stands_in_front_of() {
    let lines = all(&mut Splitter::new(100), &[b"\x1eabc-1\x1ehello\n", b"plain\n", b"\x1ex\x1e\n"]);
    let ids: Vec<_> = lines.iter().map(|line| line.request_id.as_deref()).collect();
    assert_eq!(ids, [Some("abc-1"), None, Some("x")]);
    assert_eq!(texts(lines), ["hello", "plain", ""]);
}

#[test]
fn what_only_looks_like_a_request_id_stays_text() {
    let long = [b"\x1e".as_slice(), &[b'a'; 300], b"\x1etext"].concat();
    for line in [b"\x1eno end".as_slice(), b"\x1e\x1eempty", b"\x1ea b\x1ewith space", b"a\x1eb\x1ec", &long] {
        let lines = all(&mut Splitter::new(1000), &[line]);
        assert_eq!((lines[0].request_id.as_deref(), lines[0].text.as_bytes()), (None, line));
    }
}

#[test]
fn a_long_line_is_continued_with_its_request_id_and_no_character_is_cut() {
    let text = "ä".repeat(10);
    let line = format!("\x1eid\x1e{text}\nnext\n");
    let mut splitter = Splitter::new(9);
    let lines: Vec<_> = line.as_bytes().iter().flat_map(|byte| splitter.push(&[*byte])).collect();
    let (last, parts) = lines.split_last().unwrap();
    assert!(parts.len() > 1 && parts.iter().all(|part| part.request_id.as_deref() == Some("id")));
    assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<String>(), text);
    assert_eq!((last.text.as_str(), last.request_id.as_deref()), ("next", None));
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_nul_is_kept() {
    let lines = all(&mut Splitter::new(100), &[b"a\0b\xff\xfec\n"]);
    assert_eq!(texts(lines), ["a\0b\u{fffd}\u{fffd}c"]);
}

proptest! {
    #[test]
    fn no_text_is_lost_however_it_is_cut(
        text in "[a-zäß€𝄞\n]{0,200}",
        cuts in prop::collection::vec(1usize..20, 0..40),
        most in 4usize..50,
    ) {
        let mut splitter = Splitter::new(most);
        let (mut rest, mut lines) = (text.as_bytes(), Vec::new());
        for cut in cuts {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            lines.extend(splitter.push(piece));
            rest = left;
        }
        lines.extend(splitter.push(rest));
        lines.extend(splitter.take_partial());
        let lines = texts(lines);
        prop_assert!(lines.iter().all(|line| line.len() <= most));
        prop_assert_eq!(lines.concat(), text.replace('\n', ""));
    }

    #[test]
    fn garbage_never_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10)) {
        let mut splitter = Splitter::new(10);
        let lines = pieces.iter().map(|piece| splitter.push(piece).len()).sum::<usize>();
        let ends = pieces.concat().iter().filter(|byte| **byte == b'\n').count();
        prop_assert!(lines >= ends);
    }
}
