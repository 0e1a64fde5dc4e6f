//! The log of a build as its package keeps it, turned into what of it is new.
//!
//! Of a long log the beginning and the end are kept, with a line between them that counts the bytes left out. So the end
//! moves: where it stands in the whole output is known from the count.

/// The line between the two parts, around its number.
const MARK: (&str, &str) = ("\n... ", " bytes are left out here ...\n");

/// What was printed so far.
#[derive(Debug, Default)]
pub(super) struct Printed {
    text: String,
}

/// The two parts that are kept, and the bytes between them.
struct Parts<'a> {
    head: &'a str,
    left_out: usize,
    tail: &'a str,
}

impl Printed {
    /// What is to be printed now that the log is `text`.
    pub(super) fn next(&mut self, text: &str) -> String {
        let news = match text.strip_prefix(self.text.as_str()) {
            Some(more) => more.to_owned(),
            None => self.after_a_cut(text),
        };
        text.clone_into(&mut self.text);
        news
    }

    /// Whether the last line printed is unfinished.
    pub(super) fn is_within_a_line(&self) -> bool {
        !self.text.is_empty() && !self.text.ends_with('\n')
    }

    fn after_a_cut(&self, text: &str) -> String {
        let line_end = if self.is_within_a_line() { "\n" } else { "" };
        let (before, now) = (Parts::of(&self.text), Parts::of(text));
        if now.left_out == 0 {
            return format!("{line_end}... the build began again ...\n{text}");
        }
        let known_to = before.head.len() + before.left_out + before.tail.len();
        let starts_at = now.head.len() + now.left_out;
        if let Some(known) = known_to.checked_sub(starts_at)
            && let (Some(known), Some(news)) = (now.tail.get(..known), now.tail.get(known..))
            && self.text.ends_with(known)
        {
            return news.to_owned();
        }
        match starts_at.checked_sub(known_to) {
            Some(missed) if missed > 0 => {
                format!("{line_end}... {missed} bytes of output were left out here ...\n{}", now.tail)
            }
            _ => format!("{line_end}... some output was left out here ...\n{}", now.tail),
        }
    }
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let whole = Self { head: text, left_out: 0, tail: "" };
        let Some((before, tail)) = text.split_once(MARK.1) else { return whole };
        let Some((head, count)) = before.rsplit_once(MARK.0) else { return whole };
        count.parse().map_or(whole, |left_out| Self { head, left_out, tail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of which `head` and `tail` bytes are kept.
    fn kept(all: &str, head: usize, tail: usize) -> String {
        match all.len().checked_sub(head + tail) {
            None | Some(0) => all.to_owned(),
            Some(out) => {
                format!("{}\n... {out} bytes are left out here ...\n{}", &all[..head], &all[all.len() - tail..])
            }
        }
    }

    fn numbers(count: usize) -> String {
        (0..count).map(|number| format!("line {number}\n")).collect()
    }

    #[test]
    fn a_growing_log_is_printed_once() {
        let mut printed = Printed::default();
        let all = numbers(9);
        assert_eq!(printed.next(&all[..10]), all[..10]);
        assert!(printed.is_within_a_line());
        assert_eq!(printed.next(&all[..10]), "");
        assert_eq!(printed.next(&all), all[10..]);
        assert!(!printed.is_within_a_line());
    }

    #[test]
    fn what_moves_through_the_kept_end_is_printed_whole_as_long_as_it_is_seen() {
        let (all, mut printed, mut out) = (numbers(500), Printed::default(), String::new());
        for end in (10..=all.len()).step_by(60).chain([all.len()]) {
            out += &printed.next(&kept(&all[..end], 100, 200));
        }
        assert_eq!(out, all);
    }

    #[test]
    fn what_was_never_seen_is_told_with_its_size_and_the_newest_part_follows() {
        let (all, mut printed) = (numbers(500), Printed::default());
        printed.next(&all[..153]);
        let end = all.len() - 200;
        let expected = format!("\n... {} bytes of output were left out here ...\n{}", end - 153, &all[end..]);
        assert_eq!(printed.next(&kept(&all, 100, 200)), expected);
    }

    #[test]
    fn a_log_that_does_not_fit_what_was_printed_is_not_taken_for_its_end() {
        let (all, mut printed) = (numbers(500), Printed::default());
        printed.next(&kept(&all, 100, 200));
        let other = kept(&all.replace("line", "LINE"), 100, 200);
        let (_, newest) = other.split_once("here ...\n").unwrap();
        assert_eq!(printed.next(&other), format!("... some output was left out here ...\n{newest}"));
    }

    #[test]
    fn a_second_try_is_printed_from_its_beginning() {
        let mut printed = Printed::default();
        printed.next("first try\n");
        assert_eq!(printed.next("second\n"), "... the build began again ...\nsecond\n");
    }
}
