//! What was checked: lines with a mark and something to do, by section.

use std::fmt::Display;

use crate::failure::{Failure, Outcome};

/// What was checked, by section.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<(&'static str, Vec<Finding>)>);

#[derive(Debug)]
struct Finding {
    mark: Mark,
    text: String,
    hints: Vec<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Good,
    /// It limits some commands, and may be meant that way.
    Limit,
    Bad,
}

impl Findings {
    pub(super) fn section(&mut self, name: &'static str) {
        self.0.push((name, Vec::new()));
    }

    pub(super) fn add(&mut self, good: bool, text: impl Into<String>) {
        self.push(if good { Mark::Good } else { Mark::Bad }, text.into(), Vec::new());
    }

    /// Something that limits what some commands can do.
    pub(super) fn limit(&mut self, text: impl Into<String>, hint: impl Display) {
        self.push(Mark::Limit, text.into(), vec![hint.to_string()]);
    }

    pub(super) fn bad(&mut self, text: impl Into<String>, hint: impl Display) {
        self.push(Mark::Bad, text.into(), vec![hint.to_string()]);
    }

    pub(super) fn failure(&mut self, failure: &Failure) {
        self.push(Mark::Bad, failure.to_string(), failure.hints().to_vec());
    }

    fn push(&mut self, mark: Mark, text: String, hints: Vec<String>) {
        if let Some((_, findings)) = self.0.last_mut() {
            findings.push(Finding { mark, text, hints });
        }
    }

    pub(super) fn outcome<T>(&mut self, outcome: &Outcome<T>, good: impl FnOnce(&T) -> String) -> bool {
        match outcome {
            Ok(value) => self.add(true, good(value)),
            Err(failure) => self.failure(failure),
        }
        outcome.is_ok()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, findings) in &self.0 {
            text.push_str(&format!("{name}\n{}\n", "-".repeat(20)));
            for finding in findings {
                let mark = match finding.mark {
                    Mark::Good => '√',
                    Mark::Limit => '!',
                    Mark::Bad => '×',
                };
                text.push_str(&format!("{mark} {}\n", finding.text));
                finding.hints.iter().for_each(|hint| text.push_str(&format!("  hint: {hint}\n")));
            }
            text.push('\n');
        }
        text
    }

    pub(super) fn failed(&self) -> usize {
        self.0.iter().flat_map(|(_, findings)| findings).filter(|finding| finding.mark == Mark::Bad).count()
    }
}
